// What a stage reads: a list, each entry with its role in the computation.

/** One thing that a stage reads, as the spec names it. */
export interface Input {
  /** What it is to the stage; several may be the same to it, but each artifact has a role of its own. */
  readonly role: string;
  readonly is: 'model' | 'rows' | 'artifact';
  /** The field that names it. */
  readonly field: string;
  readonly uri?: string | undefined;
  readonly digest?: string | undefined;
  /** The Secret that opens the address. */
  readonly secret?: string | undefined;
}

/** An artifact that another resource makes: named, and waited for, or given by address and digest. */
export interface ArtifactInput extends Input {
  readonly is: 'artifact';
  /** The kind that makes such artifacts. */
  readonly kind: string;
  /** The resource of that kind, in the same namespace. */
  readonly name?: string | undefined;
  /** Who must have signed it: a name of `spec.signers`. */
  readonly signer?: string | undefined;
}

/** Something as it is stored: all of it may be wrong. */
export type Unchecked = Readonly<Record<string, unknown>>;

interface Source {
  readonly uri: string;
  readonly digest?: string | undefined;
  readonly secretRef?: { readonly name: string } | undefined;
}

export const model = (field: string, source: Source): Input =>
  named({ role: 'model', is: 'model', field }, source);

export const rows = (role: string, field: string, source: Source): Input =>
  named({ role, is: 'rows', field }, source);

/**
 * What a field of artifactFrom() names; also where something there is wrong.
 * @param place with the other kinds that make such artifacts, which a reference may name
 */
export function artifact(
  { others = [], ...place }: { role: string; field: string; kind: string; others?: readonly string[] },
  source: unknown,
): ArtifactInput {
  const { ref, uri, digest, secretRef, signer } = mapping(source);
  return {
    ...place,
    is: 'artifact',
    kind: others.find((kind) => kind === mapping(ref)['kind']) ?? place.kind,
    signer: text(signer),
    name: text(mapping(ref)['name']),
    uri: text(uri),
    digest: text(digest),
    secret: text(mapping(secretRef)['name']),
  };
}

/** The entries of a list of such fields, with the roles `role[0]`, `role[1]`, ...; no more than `most`. */
export const artifacts = (
  { role, field, kind }: { role: string; field: string; kind: string },
  sources: unknown,
  most: number,
): ArtifactInput[] =>
  (Array.isArray(sources) ? sources.slice(0, most) : []).map((source, i) =>
    artifact({ role: `${role}[${i}]`, field: `${field}[${i}]`, kind }, source),
  );

/** By role as a status has it: what `artifacts` gave roles to stands in one list. */
export function inLists<T>(byRole: Readonly<Record<string, T>>): Record<string, T | T[]> {
  const lists: Record<string, T | T[]> = {};
  for (const [role, value] of Object.entries(byRole)) {
    const list = entryOf(role);
    if (list === undefined) {
      lists[role] = value;
      continue;
    }
    const entries = (lists[list.role] ?? []) as T[];
    entries[list.index] = value;
    lists[list.role] = entries;
  }
  return lists;
}

/** What a status has in a role. */
export function inRole<T>(lists: Readonly<Record<string, T | readonly T[]>>, role: string): T | undefined {
  const list = entryOf(role);
  if (list === undefined) return lists[role] as T | undefined;
  const entries = lists[list.role];
  return Array.isArray(entries) ? entries[list.index] : undefined;
}

function entryOf(role: string): { role: string; index: number } | undefined {
  const [, list, index] = /^(.+)\[(\d+)\]$/.exec(role) ?? [];
  return list === undefined ? undefined : { role: list, index: Number(index) };
}

const named = (place: Pick<Input, 'role' | 'is' | 'field'>, { uri, digest, secretRef }: Source): Input => ({
  ...place,
  uri,
  digest,
  secret: secretRef?.name,
});

export const mapping = (value: unknown): Unchecked =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Unchecked) : {};

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
