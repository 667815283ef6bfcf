/** A model owner and parties, each in a namespace of its own with its own keys, who share a bucket and tell each other digests. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { kubernetesPrograms } from '../cluster/programs.ts';
import { conditionsText, isComplete, type LiveResource } from '../cluster/resources.ts';
import { S3Server } from '../servers/s3-server.ts';
import { type Manifest, partiesOf, setField } from '../tiny/index.ts';
import type { Release } from './release.ts';

export const modelOwner = 'model-owner';
const bucket = 'exchange';
/** The Secret of each namespace with its own keys of the bucket, and the one with what it signs with. */
const store = { name: 'exchange' };
const signingKey = { name: 'signing' };

/** Whose a resource of examples/rounds is, by its name: `north-2` is north's, `round-2` the model owner's. */
export function ownerOf({ kind, metadata }: Manifest): string {
  return kind === 'OffsiteTune' ? metadata.name.replace(/-\d+$/, '') : modelOwner;
}

/** What each signs with, and by which the others know it. */
export class SigningKeys {
  /** Of each owner the newest first. */
  readonly #pairs = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }[]>();

  constructor(owners: readonly string[]) {
    for (const owner of owners) this.replace(owner);
  }

  /** Another key from now on; by the old one it is known as well. */
  replace(owner: string): void {
    this.#pairs.set(owner, [generateKeyPairSync('ed25519'), ...(this.#pairs.get(owner) ?? [])]);
  }

  privateKey(owner: string): string {
    return this.#of(owner)[0]!.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  }

  publicKeys(owner: string): string {
    return this.#of(owner)
      .map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' }))
      .join('');
  }

  #of(owner: string) {
    return this.#pairs.get(owner) ?? [];
  }

  /** Lets a resource be signed by its owner, and ask for the others' signatures. */
  sign(manifest: Manifest, key: object): void {
    const owner = ownerOf(manifest);
    setField(manifest, 'spec.output.signingKeyRef', key);
    const read = inputsOf(manifest).filter(({ from }) => from !== owner);
    for (const { field, from } of read) setField(manifest, `spec.${field}.signer`, from);
    const names = [...new Set(read.map(({ from }) => from))];
    const signers = names.map((name) => ({ name, publicKey: this.publicKeys(name) }));
    if (signers.length > 0) setField(manifest, 'spec.signers', signers);
  }
}

/** The artifacts that a resource of the example refers to: the field, the resource's name and its owner. */
function inputsOf(manifest: Manifest): { field: string; name: string; from: string }[] {
  const { emulator, start } = manifest.spec as Record<string, { ref: { name: string } } | undefined>;
  const adapters = partiesOf(manifest).map(({ ref: { name } }, i) => ({
    ...{ field: `adapters.${i}`, name },
    from: name.replace(/-\d+$/, ''),
  }));
  return [
    ...(emulator ? [{ field: 'emulator', name: emulator.ref.name, from: modelOwner }] : []),
    ...(start ? [{ field: 'start', name: start.ref.name, from: modelOwner }] : []),
    ...adapters,
  ];
}

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: { readonly phase: string };
}

export class Parties {
  readonly #release: Release;
  readonly #bucket: S3Server;
  readonly #keys: SigningKeys;
  /** How the docs say that one looks what to tell the others, as a shell command. */
  readonly #tell = tellingCommand();
  readonly #told = new Map<string, object>();

  private constructor(release: Release, bucket: S3Server, keys: SigningKeys) {
    this.#release = release;
    this.#bucket = bucket;
    this.#keys = keys;
  }

  /** @param folders by namespace, what comes into its claims */
  static async prepare(
    release: Release,
    keys: SigningKeys,
    folders: Readonly<Record<string, Record<string, string>>>,
  ): Promise<Parties> {
    const server = await S3Server.startAt(release.cluster.outside, bucket);
    const parties = new Parties(release, server, keys);
    for (const [namespace, own] of Object.entries(folders)) {
      await release.prepare(namespace, own);
      parties.secret(namespace, store.name, server.addUser(namespace));
      parties.secret(namespace, signingKey.name, { 'private.pem': keys.privateKey(namespace) });
    }
    await putPolicy(server, Object.keys(folders));
    return parties;
  }

  /** Makes a Secret, or gives it another content. */
  secret(namespace: string, name: string, values: Record<string, string>): void {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: values };
    this.#release.cluster.kubectl(['apply', '-n', namespace, '-f', '-'], JSON.stringify(secret));
  }

  /** Where an object of the bucket lies on this machine. */
  fileOf(owner: string, name: string): string {
    return this.#bucket.fileOf(bucket, `from-${owner}/${name}`);
  }

  /** Applies a resource of the example in its owner's namespace; what another made is named by what was told. */
  apply(given: Manifest): void {
    const manifest = structuredClone(given);
    const owner = ownerOf(manifest);
    const { name } = manifest.metadata;
    this.#keys.sign(manifest, signingKey);
    for (const { field, name: made, from } of inputsOf(given)) {
      if (from === owner) continue;
      setField(manifest, `spec.${field}.ref`, undefined);
      for (const [key, value] of Object.entries({ ...this.#told.get(made), secretRef: store }))
        setField(manifest, `spec.${field}.${key}`, value);
    }
    setField(manifest, 'spec.output.uri', `s3://${bucket}/from-${owner}/${name}`);
    setField(manifest, 'spec.output.secretRef', store);
    setField(manifest, 'spec.work', { uri: 'pvc://artifacts/work' });
    this.#release.apply(owner, [manifest]);
  }

  /** What it says now. @throws where it has failed */
  read({ kind, metadata, ...rest }: Manifest): LiveResource {
    const where = [kind, metadata.name, '-n', ownerOf({ kind, metadata, ...rest }), '-o', 'json'];
    const resource = JSON.parse(this.#release.cluster.kubectl(['get', ...where])) as LiveResource;
    if (resource.status?.phase === 'Failed') throw new Error(conditionsText(resource));
    return resource;
  }

  /** Waits until all of them are Complete, and lets their owners tell the others what they made. */
  async complete(manifests: readonly Manifest[], limitMs: number): Promise<LiveResource[]> {
    let seen: LiveResource[] = [];
    const left = () => {
      seen = manifests.map((manifest) => this.read(manifest));
      return seen.filter((resource) => !isComplete(resource)).map(conditionsText);
    };
    await expect.poll(left, { timeout: limitMs, interval: 1000 }).toEqual([]);
    for (const manifest of manifests) this.#told.set(manifest.metadata.name, this.#tells(manifest));
    return seen;
  }

  /** The pods of a resource's Jobs. */
  podsOf(manifest: Manifest): { name: string; uid: string; phase: string }[] {
    const { kind, metadata } = manifest;
    const its = `offsite-tuning.dev/kind=${kind},offsite-tuning.dev/name=${metadata.name}`;
    const pods = ['get', 'pods', '-n', ownerOf(manifest), '-l', its, '-o', 'json'];
    const { items } = JSON.parse(this.#release.cluster.kubectl(pods)) as { items: Pod[] };
    return items.map(({ metadata: { name, uid }, status: { phase } }) => ({ name, uid, phase }));
  }

  /** Deletes a stage's first pod, without a moment to end in, as soon as it runs. */
  async deleteRunning(manifest: Manifest, stage: string): Promise<void> {
    const running = () =>
      this.podsOf(manifest).find(({ name, phase }) => phase === 'Running' && name.includes(`-${stage}-`))
        ?.name;
    await expect.poll(running, { timeout: 300_000, interval: 200 }).toBeDefined();
    const at = ['-n', ownerOf(manifest), '--grace-period=0', '--force'];
    this.#release.cluster.kubectl(['delete', 'pod', running() as string, ...at]);
  }

  /** Gives an owner another key of the bucket, in the place of the old one, and another to sign with, beside it. */
  changeKeys(owner: string): void {
    this.#keys.replace(owner);
    this.secret(owner, store.name, this.#bucket.changeUser(owner));
    this.secret(owner, signingKey.name, { 'private.pem': this.#keys.privateKey(owner) });
  }

  #tells(manifest: Manifest): object {
    const command = this.#tell
      .replace(/-n \S+/, `-n ${ownerOf(manifest)}`)
      .replace(/get \S+ \S+/, `get ${manifest.kind.toLowerCase()} ${manifest.metadata.name}`);
    const path = dirname(kubernetesPrograms('kubectl').kubectl);
    const line = execFileSync('sh', ['-c', command], {
      encoding: 'utf8',
      env: {
        PATH: `${path}:${process.env['PATH']}`,
        KUBECONFIG: this.#release.cluster.kubeconfig,
        // Without a home kubectl would keep what it knows of the server in this directory.
        KUBECACHEDIR: join(this.#release.directory, 'kubectl'),
      },
    });
    return parse(`{ ${line} }`) as object;
  }

  async remove(): Promise<void> {
    await this.#bucket.remove();
  }
}

function tellingCommand(): string {
  const page = readFileSync(new URL('../../../docs/aggregation.md', import.meta.url), 'utf8');
  const [, command] = /^(kubectl -n model-owner get plugin round-1 .*)$/m.exec(page) ?? [];
  if (command === undefined) throw new Error('docs/aggregation.md has no command that tells an artifact');
  return command;
}

/** Each writes what it makes; the model owner reads all, a party its own and the model owner's. */
async function putPolicy(server: S3Server, users: readonly string[]): Promise<void> {
  const arn = (prefix: string) => `arn:aws:s3:::${bucket}/${prefix}`;
  const allow = (AWS: readonly string[], Action: string | string[], Resource: string | string[]) => ({
    ...{ Effect: 'Allow', Principal: { AWS }, Action, Resource },
  });
  const Statement = [
    allow(users, 's3:ListBucket', `arn:aws:s3:::${bucket}`),
    ...users.flatMap((user) => [
      allow(
        [user],
        's3:GetObject',
        user === modelOwner ? arn('*') : [arn(`from-${user}/*`), arn(`from-${modelOwner}/*`)],
      ),
      allow([user], ['s3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload'], arn(`from-${user}/*`)),
    ]),
  ];
  const client = new S3Client({
    ...{ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true },
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
  client.destroy();
}

/** Writes a key where `offsite run --keys` looks for it. @returns the directory */
export function writeKey(directory: string, owner: string, keys: SigningKeys): string {
  const place = join(directory, 'keys', owner);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'private.pem'), keys.privateKey(owner));
  return place;
}
