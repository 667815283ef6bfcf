// Signatures in a spec: the key that signs what a resource makes, and the keys whose signatures are taken.
import { z } from 'zod';
import { matching, objectName, resourceName } from './fields.ts';
import { distinct, type Rule, withRules } from './rules.ts';

/** What a Secret calls its keys: PEM files, of which a pod sees the one that it needs. */
export const keyFiles = { private: 'private.pem', public: 'public.pem' } as const;

export const signingKeyRef = z
  .strictObject({
    name: objectName.describe(
      `Name of a Secret in the same namespace with the key ${keyFiles.private}: PKCS#8 in PEM, ECDSA P-256 or Ed25519, not encrypted.`,
    ),
  })
  .optional()
  .describe(
    'Signs the artifact: its signature, manifest.dsse.json, lies beside manifest.json and changes no digest.',
  );

/** The name of one of `spec.signers`, beside a reference to an artifact. */
export const signer = resourceName
  .optional()
  .describe(
    'Who must have signed it: a name of spec.signers. When absent no signature is asked for, and one that is there is not read.',
  );

const pem = /^\s*-----BEGIN PUBLIC KEY-----[\sA-Za-z0-9+/=]+-----END PUBLIC KEY-----[\s\S]*$/;

const publicKey = withRules(
  matching(
    pem,
    // As many keys as a signer may have, with room for a line about each.
    2048,
    'must be a public key in PEM, from "-----BEGIN PUBLIC KEY-----" to "-----END PUBLIC KEY-----"',
  ),
  {
    holds: (value) => typeof value !== 'string' || !value.includes('PRIVATE'),
    cel: "!self.contains('PRIVATE')",
    message: 'must hold no private key: take that away from here, and use it no more',
  },
);

const Signer = withRules(
  z.strictObject({
    name: resourceName.describe('By which artifacts name it.'),
    publicKeyRef: z
      .strictObject({ name: objectName.describe('Name of a Secret in the same namespace.') })
      .optional()
      .describe(
        `A Secret with the key ${keyFiles.public}: one or more public keys in PEM, ECDSA P-256 or Ed25519; a signature by any of them is taken.`,
      ),
    publicKey: publicKey.optional().describe('The same text, in place of a Secret.'),
  }),
  {
    holds: (value) => (value.publicKeyRef === undefined) !== (value.publicKey === undefined),
    cel: 'has(self.publicKeyRef) != has(self.publicKey)',
    message: 'must have either publicKeyRef (a Secret) or publicKey (the PEM text)',
  },
);
export type Signer = z.output<typeof Signer>;

export const Signers = distinct(z.array(Signer).min(1).max(64), 'name')
  .optional()
  .describe(
    'Whose signatures are taken: each under the name by which references to artifacts ask for it (signer).',
  );

/** A key that a stage needs: the Secret that has it, and which of the Secret's keys it is. */
export interface Key {
  readonly kind: keyof typeof keyFiles;
  readonly secret: string;
}

interface Keyed {
  readonly output: { readonly signingKeyRef?: { readonly name: string } | undefined };
  readonly signers?: readonly Signer[] | undefined;
}

/** The keys that who makes and seals a resource's artifact needs, each once. */
export function keysOf({ output, signers = [] }: Keyed): Key[] {
  const own = output.signingKeyRef?.name;
  const others = new Set(signers.flatMap(({ publicKeyRef }) => publicKeyRef?.name ?? []));
  return [
    ...(own === undefined ? [] : [{ kind: 'private' as const, secret: own }]),
    ...[...others].map((secret) => ({ kind: 'public' as const, secret })),
  ];
}

interface Signed {
  readonly signers?: readonly { readonly name?: string }[] | undefined;
}

/** The fields of a spec that refer to artifacts. */
export interface ReferenceFields {
  /** To one each. */
  readonly single: readonly string[];
  /** To a list of them each. */
  readonly lists?: readonly string[];
}

/** Rules over the references of a spec: each names a signer that there is, and each signer is named. */
export function signerRules({ single, lists = [] }: ReferenceFields): Rule<Signed>[] {
  const signersIn = (spec: Signed, field: string): (string | undefined)[] => {
    const value: unknown = (spec as Record<string, unknown>)[field];
    const sources = Array.isArray(value) ? value : [value];
    return sources.map((source) => (source as { readonly signer?: string } | null | undefined)?.signer);
  };
  const known = ({ signers }: Signed) =>
    Array.isArray(signers) ? signers.map((entry: Signer | null) => entry?.name) : [];
  const isIn = (name: string) => `(has(self.signers) && self.signers.exists(s, s.name == ${name}))`;
  const allKnown = (field: string) => (spec: Signed) =>
    signersIn(spec, field).every((name) => name === undefined || known(spec).includes(name));
  const fields = [...single, ...lists];
  return [
    ...single.map((field) => ({
      holds: allKnown(field),
      cel: `!has(self.${field}) || !has(self.${field}.signer) || ${isIn(`self.${field}.signer`)}`,
      message: 'must be a name of spec.signers',
      path: [field, 'signer'],
    })),
    ...lists.map((field) => ({
      holds: allKnown(field),
      cel: `!has(self.${field}) || self.${field}.all(a, !has(a.signer) || ${isIn('a.signer')})`,
      message: 'must have names of spec.signers for signer',
      path: [field],
    })),
    {
      holds: (spec) =>
        known(spec).every((name) => fields.some((field) => signersIn(spec, field).includes(name))),
      cel: `!has(self.signers) || self.signers.all(s, ${[
        ...single.map(
          (field) => `(has(self.${field}) && has(self.${field}.signer) && self.${field}.signer == s.name)`,
        ),
        ...lists.map(
          (field) => `(has(self.${field}) && self.${field}.exists(a, has(a.signer) && a.signer == s.name))`,
        ),
      ].join(' || ')})`,
      message: 'must each be the signer of an artifact that is read: name it there, or take it away',
      path: ['signers'],
    },
  ];
}
