// An artifact that somebody else laid at an output, whose manifest says that it is the resource's own work: it is never taken for it,
// on disk or in a store, whatever scores it tells.
import { generateKeyPairSync } from 'node:crypto';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  checkSignature,
  Mirror,
  peekManifest,
  resolveUri,
  sealArtifact,
  signArtifact,
  signatureName,
} from '../../src/artifact/index.ts';
import { digestIn, failureOf, offsite, savedStatus, startOffsite } from '../support/offsite/index.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import {
  type Manifest,
  setField,
  type TinyManifests,
  writeManifests,
  writeTinyProject,
} from '../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-laid-'));
const at = (...parts: string[]) => join(root, ...parts);
const parts = ['emulator', 'adapter', 'model'] as const;
/** Whose key signs what was laid there. */
const theirs = generateKeyPairSync('ed25519');
let server: S3Server;
/** What the work comes to. */
let right: Record<(typeof parts)[number], string>;
/** Three resources that write on disk and three that write to a store, on the same inputs. */
let resources: { manifest: Manifest; part: (typeof parts)[number]; inStore: boolean }[];

beforeAll(async () => {
  server = await S3Server.start('team');
  const made = writeTinyProject(root);
  const { code, stderr } = await run(Object.values(made), 'first');
  expect(code, stderr).toBe(0);
  const digestOf = (part: string) => digestIn(at('out', part)) as string;
  right = { emulator: digestOf('emulator'), adapter: digestOf('adapter'), model: digestOf('model') };
  resources = ['disk', 'store'].flatMap((where) => writingTo(where, made));
});
afterAll(async () => {
  await server.remove();
  rmSync(root, { recursive: true, force: true });
});

const run = (manifests: readonly Manifest[], work: string, ...more: string[]) => {
  const file = at(`${work}.yaml`);
  writeManifests(file, manifests);
  return offsite(['run', '-f', file, '--work-dir', at(work), ...more], { environment: server.credentials });
};

function writingTo(where: string, { build, tune, plug }: TinyManifests): typeof resources {
  const inStore = where === 'store';
  return [build, tune, plug].map((manifest, i) => {
    const part = parts[i]!;
    const changed = structuredClone(manifest);
    setField(changed, 'metadata.name', where);
    setField(changed, 'spec.output.uri', inStore ? `s3://team/${part}` : `file:laid/${part}`);
    for (const input of ['emulator', 'adapter'] as const)
      if (input in changed.spec)
        setField(changed, `spec.${input}`, { uri: `file:out/${input}`, digest: right[input] });
    return { manifest: changed, part, inStore };
  });
}

/** The scores that somebody would like it to have. */
const wished = {
  emulator: (scores: Record<string, unknown>) => ({ ...scores, exactShare: { tensors: 0, parameters: 0 } }),
  adapter: (scores: Record<string, unknown>) => ({ ...scores, bestStep: 1 }),
  model: ({ evaluation }: Record<string, unknown>) => ({
    evaluation: (evaluation as { cells: object }[]).map((task) => ({
      ...task,
      cells: { ...task.cells, plugIn: { value: '0.9500', stderr: '0.0100' } },
    })),
  }),
};

/** An artifact of other weights and better scores that says it is the work. @returns its digest */
function forge(part: (typeof parts)[number], directory: string): string {
  cpSync(at('out', part), directory, { recursive: true });
  const weights = join(directory, part === 'adapter' ? 'adapter.safetensors' : 'model.safetensors');
  const bytes = readFileSync(weights);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(weights, bytes);
  const { kind, madeFrom, hyperparameters, scores } = peekManifest(directory)!.manifest;
  return sealArtifact(directory, { kind, madeFrom, hyperparameters, scores: wished[part](scores!) }).digest;
}

async function upload(directory: string, uri: string): Promise<void> {
  const scratch = mkdtempSync(at('upload-'));
  const mirror = new Mirror({
    scratch,
    environment: server.credentials,
    signal: new AbortController().signal,
  });
  const path = resolveUri(uri, { claims: {}, base: '/', scratch }, 'uri');
  cpSync(directory, path, { recursive: true });
  await mirror.push(path, { exact: true });
}

const placeOf = ({ part, inStore }: (typeof resources)[number]) =>
  inStore ? server.fileOf('team', part) : at('laid', part);

test('it is refused by what the work comes to, and stays as it is', async () => {
  const forged = new Map<object, string>();
  for (const resource of resources) {
    const { part, inStore } = resource;
    const directory = inStore ? at('forged', part) : at('laid', part);
    forged.set(resource, forge(part, directory));
    if (inStore) await upload(directory, `s3://team/${part}`);
  }
  const { code, stderr } = await run(
    resources.map(({ manifest }) => manifest),
    'second',
  );
  expect(code, stderr).toBe(1);
  for (const resource of resources) {
    const { kind, metadata } = resource.manifest;
    const digest = forged.get(resource)!;
    expect(failureOf(at('second'), kind, metadata.name)).toMatchObject({
      reason: 'BadSpec',
      message: expect.stringMatching(
        new RegExp(
          `spec\\.output\\.uri: .* holds an artifact \\(${digest}\\) whose manifest says that it is of this very work, but this work came to ${right[resource.part]}, `,
        ),
      ) as string,
    });
    expect(digestIn(placeOf(resource))).toBe(digest);
    expect(existsSync(`${placeOf(resource)}.result.json`)).toBe(false);
  }
});

test('it is replaced where that is said; and the same bytes are as good as made here', async () => {
  const [emulatorOnDisk, , , , adapterInStore, modelInStore] = resources;
  setField(emulatorOnDisk!.manifest, 'spec.output.replace', true);
  setField(modelInStore!.manifest, 'spec.output.replace', true);
  server.forget('team', 'adapter');
  // Whoever laid them there has signed them.
  cpSync(at('out/adapter'), at('signed'), { recursive: true });
  signArtifact(at('signed'), { digest: right.adapter, kind: 'Adapter' }, theirs.privateKey);
  await upload(at('signed'), 's3://team/adapter');
  const three = [emulatorOnDisk!, adapterInStore!, modelInStore!];
  const again = await run(
    three.map(({ manifest }) => manifest),
    'second',
  );
  expect(again.code, again.stderr).toBe(0);
  for (const resource of three) {
    const { kind, metadata } = resource.manifest;
    expect(savedStatus(at('second'), kind, metadata.name).artifact?.digest).toBe(right[resource.part]);
    expect(digestIn(placeOf(resource))).toBe(right[resource.part]);
  }
  expect(readFileSync(server.fileOf('team', `adapter/${signatureName}`))).toEqual(
    readFileSync(at('signed', signatureName)),
  );
});

test('who takes it signs it beside who had signed it, on disk and in a store', async () => {
  const ours = generateKeyPairSync('ed25519');
  mkdirSync(at('keys'));
  writeFileSync(at('keys/private.pem'), ours.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  cpSync(at('signed'), at('laid/signed'), { recursive: true });
  const adapters = resources.filter(({ part }) => part === 'adapter');
  const signing = adapters.map(({ manifest, inStore }) => {
    const changed = structuredClone(manifest);
    setField(changed, 'spec.output', {
      uri: inStore ? 's3://team/adapter' : 'file:laid/signed',
      signingKeyRef: { name: 'ours' },
    });
    return changed;
  });
  const { code, stderr } = await run(signing, 'third', '--keys', `ours=${at('keys')}`);
  expect(code, stderr).toBe(0);
  for (const directory of [at('laid/signed'), server.fileOf('team', 'adapter')])
    for (const { publicKey } of [ours, theirs])
      checkSignature(directory, { digest: right.adapter, kind: 'Adapter' }, [publicKey]);
});

/** A training that is stopped at its first checkpoint, when it has looked at its output, and goes on after `meanwhile`. */
async function interrupted(manifest: Manifest, meanwhile: () => void | Promise<void>) {
  const { name } = manifest.metadata;
  for (const [field, value] of Object.entries({ steps: 60, checkpointSteps: 10 }))
    setField(manifest, `spec.training.${field}`, value);
  const file = at(`${name}.yaml`);
  writeManifests(file, [manifest]);
  const { child, ended } = startOffsite(['run', '-f', file, '--work-dir', at(name)], {
    environment: server.credentials,
  });
  const checkpoints = () => globSync(`**/step-*`, { cwd: at(name) });
  await expect.poll(checkpoints, { interval: 20, timeout: 300_000 }).not.toEqual([]);
  child.kill('SIGSTOP');
  await meanwhile();
  child.kill('SIGCONT');
  return await ended;
}

test('an artifact that comes while another is made stays, on disk and in a store', async () => {
  for (const resource of resources.filter(({ part }) => part === 'adapter')) {
    const { manifest, inStore } = resource;
    const { metadata } = manifest;
    const longer = structuredClone(manifest);
    const part = `meanwhile-${metadata.name}`;
    setField(longer, 'metadata.name', part);
    setField(longer, 'spec.output', { uri: inStore ? `s3://team/${part}` : `file:laid/${part}` });
    const there = placeOf({ ...resource, part: part as never });
    const { code, stderr } = await interrupted(longer, async () => {
      expect(existsSync(there)).toBe(false);
      if (inStore) await upload(at('out/model'), `s3://team/${part}`);
      else cpSync(at('out/model'), there, { recursive: true });
    });
    expect(code, stderr).toBe(1);
    expect(failureOf(at(part), 'OffsiteTune', part)).toMatchObject({
      reason: 'BadSpec',
      message: expect.stringMatching(/came (there|to \S+) while this resource's own was made/) as string,
    });
    expect(digestIn(there)).toBe(right.model);
  }
});

test('one of the very same work that comes while it is made is not its maker’s alone: its next spec is refused', async () => {
  const { manifest } = resources.find(({ part, inStore }) => part === 'adapter' && !inStore)!;
  const named = (name: string) => {
    const copy = structuredClone(manifest);
    setField(copy, 'metadata.name', name);
    setField(copy, 'spec.output', { uri: `file:laid/${name}` });
    return copy;
  };
  const first = await interrupted(named('elsewhere'), () => {});
  expect(first.code, first.stderr).toBe(0);
  const same = named('same');
  const second = await interrupted(same, () =>
    cpSync(at('laid/elsewhere'), at('laid/same'), { recursive: true }),
  );
  expect(second.code, second.stderr).toBe(0);
  const digest = digestIn(at('laid/elsewhere'));
  expect(digestIn(at('laid/same'))).toBe(digest);
  setField(same, 'spec.training.steps', 4);
  const { code, stderr } = await run([same], 'same');
  expect(code, stderr).toBe(1);
  expect(failureOf(at('same'), 'OffsiteTune', 'same')).toMatchObject({ reason: 'BadSpec' });
  expect(digestIn(at('laid/same'))).toBe(digest);
});
