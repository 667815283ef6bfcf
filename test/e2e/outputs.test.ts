// Whose an output is: other people's files, other resources' artifacts, and two processes at once, on disk and in a store.
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalJson, fileDigest, sha256 } from '../../src/artifact/index.ts';
import { digestIn, failureOf, offsite } from '../support/offsite/index.ts';
import { Namespace, type PodEnd } from '../support/processes/pod.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import {
  type Manifest,
  setField,
  type TinyManifests,
  tinyManifests,
  writeManifests,
  writeTinyData,
  writeTinyModel,
} from '../support/tiny/index.ts';

let namespace: Namespace;
let claim: string;
let manifests: TinyManifests;
let emulator: { uri: string; digest: string };
let server: S3Server;
const secretRef = { name: 'store' };

beforeAll(async () => {
  namespace = new Namespace();
  claim = namespace.claim('team');
  writeTinyModel(join(claim, 'model'));
  writeTinyData(join(claim, 'data'));
  manifests = tinyManifests((place) => `pvc://team/${place}`);
  const built = await namespace.run({ stage: 'assemble', resource: stored(manifests.build) });
  emulator = built.termination?.['artifact'] as typeof emulator;
  server = await S3Server.start('team');
  namespace.secret('store', server.credentials);
});
afterAll(async () => {
  await server.remove();
  namespace.remove();
});

interface Changes {
  name?: string;
  uid?: string;
  output: string;
  replace?: boolean;
  steps?: number;
}

const stored = (manifest: Manifest, { name = 'tiny', uid = 'uid-1' } = {}) => ({
  ...manifest,
  metadata: { name, namespace: 'data', uid, generation: 1 },
});

/** The pod of a training that writes to one place. */
function job({ output, replace, steps = 2, ...names }: Changes) {
  const tune = structuredClone(manifests.tune);
  setField(tune, 'spec.training', { steps, batchSize: 4, learningRate: '1e-2', maxLength: 128 });
  setField(tune, 'spec.training.checkpointSteps', 1);
  const inStore = output.startsWith('s3:');
  setField(tune, 'spec.output', {
    uri: output,
    ...(inStore && { secretRef }),
    ...(replace !== undefined && { replace }),
  });
  if (inStore) setField(tune, 'spec.work', { uri: `${dirname(output)}/work`, secretRef });
  return { stage: 'tune', resource: stored(tune, names), emulator };
}

function digestOf({ code, termination, text }: PodEnd): string {
  expect(code, text).toBe(0);
  return (termination as { artifact: { digest: string } }).artifact.digest;
}

/** Writes over a file of an output, or beside it. @param name behind the output's */
async function put(output: string, name: string, bytes: Uint8Array): Promise<void> {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/(.*)$/.exec(output) ?? [];
  if (bucket === undefined) {
    writeFileSync(`${claim}/${output.replace('pvc://team/', '')}${name}`, bytes);
    return;
  }
  const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  const client = new S3Client({
    ...{ endpoint, forcePathStyle: true, region: 'us-east-1' },
    credentials: { accessKeyId, secretAccessKey },
  });
  const Metadata = { sha256: sha256(bytes).replace('sha256:', '') };
  await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${key}${name}`, Body: bytes, Metadata }));
  client.destroy();
}

/** Gives an adapter the manifest of an earlier version, which named its rows. @returns its digest */
async function asEarlier(output: string, directory: string): Promise<string> {
  const manifest = JSON.parse(readFileSync(join(directory, 'manifest.json'), 'utf8'));
  for (const rows of ['data', 'validation'])
    manifest.madeFrom[rows] = fileDigest(join(claim, `data/${rows === 'data' ? 'train' : rows}.jsonl`));
  const text = canonicalJson(manifest);
  const digest = sha256(text);
  await put(output, '/manifest.json', Buffer.from(text));
  return digest;
}

function expectRefused({ code, termination, text }: PodEnd, right: RegExp): void {
  expect(termination, text).toMatchObject({ reason: 'BadSpec', message: expect.stringMatching(right) });
  expect(code).toBe(10);
  // Before anything is computed.
  expect(text).not.toContain('"part"');
}

/** Every file below a directory with its bytes. */
const contentOf = (directory: string) =>
  Object.fromEntries(
    globSync('**', { cwd: directory })
      .filter((path) => statSync(join(directory, path)).isFile())
      .map((path) => [path, readFileSync(join(directory, path), 'latin1')]),
  );

/** Two kinds of places: how one is addressed, and where its files are seen. */
const kinds = [
  ['on a claim', (name: string) => `pvc://team/${name}/out`, (name: string) => join(claim, name)],
  ['in a store', (name: string) => `s3://team/${name}/out`, (name: string) => server.fileOf('team', name)],
] as const;

describe.each(kinds)('%s', (_, uriOf, seen) => {
  /** The pod of one of the same kind, namespace and name that has another work place. */
  const elsewhere = (name: string, changes: Omit<Changes, 'output'>) => {
    const output = uriOf(name);
    const { resource, ...rest } = job({ output, uid: 'uid-9', ...changes });
    const work = {
      uri: dirname(uriOf(`${name}-elsewhere`)),
      ...(output.startsWith('s3') && { secretRef }),
    };
    return { ...rest, resource: { ...resource, spec: { ...resource.spec, work } } };
  };

  test("another resource's artifact is refused unless it is to be replaced; the same resource's own is replaced", async () => {
    const output = uriOf('owned');
    const first = digestOf(await namespace.run(job({ output })));
    const before = contentOf(join(seen('owned'), 'out'));
    expectRefused(
      await namespace.run(job({ output, name: 'other', uid: 'uid-2', steps: 3 })),
      /^spec\.output\.uri: .*out holds the artifact of OffsiteTune data\/tiny: choose another place, or write spec\.output\.replace: true/,
    );
    expect(contentOf(join(seen('owned'), 'out'))).toEqual(before);

    // Deleted and made again, with another spec: its own. Of the same spec it is what lies there.
    expect(digestOf(await namespace.run(job({ output, uid: 'uid-3' })))).toBe(first);
    const second = digestOf(await namespace.run(job({ output, uid: 'uid-3', steps: 3 })));
    expect(second).not.toBe(first);
    const replaced = job({ output, name: 'other', uid: 'uid-2', replace: true });
    expect(digestOf(await namespace.run(replaced))).toBe(first);
    expect(digestIn(join(seen('owned'), 'out'))).toBe(first);
    expectRefused(await namespace.run(job({ output, uid: 'uid-3', steps: 3 })), /OffsiteTune data\/other/);
  });

  test('one of the same kind, namespace and name elsewhere has another work place, and its artifact stays; of the same work it is as good as its own', async () => {
    const output = uriOf('namesake');
    const first = digestOf(await namespace.run(job({ output })));
    const before = contentOf(join(seen('namesake'), 'out'));
    expectRefused(
      await namespace.run(elsewhere('namesake', { steps: 3 })),
      /^spec\.output\.uri: .*out holds an artifact of kind Adapter .* that is not what this resource makes, and nothing says that this resource made it/,
    );
    expect(contentOf(join(seen('namesake'), 'out'))).toEqual(before);
    expect(digestOf(await namespace.run(elsewhere('namesake', {})))).toBe(first);
    // From then on it is both's, and neither takes it away.
    for (const pod of [elsewhere('namesake', { steps: 3 }), job({ output, steps: 3 })])
      expectRefused(await namespace.run(pod), /nothing says that this resource made it/);
    expect(contentOf(join(seen('namesake'), 'out'))).toEqual(before);
    // Who was told to replace it made it alone.
    const third = digestOf(await namespace.run(job({ output, steps: 3, replace: true })));
    expect(third).not.toBe(first);
    expectRefused(await namespace.run(elsewhere('namesake', {})), /nothing says that this resource made it/);
    expect(digestOf(await namespace.run(job({ output })))).toBe(first);
  });

  test('one of the very same work that somebody laid there is taken as it is, and replaced only when that is said', async () => {
    const output = uriOf('laid');
    const first = digestOf(await namespace.run(job({ output })));
    rmSync(join(seen('laid'), 'out.result.json'));
    server.forget('team', 'laid/out.result.json');
    expect(digestOf(await namespace.run(elsewhere('laid', {})))).toBe(first);
    expectRefused(
      await namespace.run(elsewhere('laid', { steps: 3 })),
      /nothing says that this resource made it/,
    );
    expect(digestIn(join(seen('laid'), 'out'))).toBe(first);
    const replaced = elsewhere('laid', { steps: 3, replace: true });
    expect(digestOf(await namespace.run(replaced))).not.toBe(first);
  });

  test('beside what an earlier version made stands no mark: it is its own by what its work place remembers, and of nobody else of its name', async () => {
    const output = uriOf('unmarked');
    const first = digestOf(await namespace.run(job({ output })));
    const beside = join(seen('unmarked'), 'out.result.json');
    const { works, ...earlier } = JSON.parse(readFileSync(beside, 'utf8'));
    expect(works).toHaveLength(1);
    await put(output, '.result.json', Buffer.from(canonicalJson(earlier)));
    expectRefused(
      await namespace.run(elsewhere('unmarked', { steps: 3 })),
      /nothing says that this resource made it/,
    );
    expect(digestIn(join(seen('unmarked'), 'out'))).toBe(first);
    expect(digestOf(await namespace.run(job({ output, steps: 3 })))).not.toBe(first);
  });

  test('an artifact that an earlier version made, of which no work place tells, is replaced only when that is said', async () => {
    const output = uriOf('earlier');
    const first = digestOf(await namespace.run(job({ output })));
    const earlier = await asEarlier(output, join(seen('earlier'), 'out'));
    rmSync(join(seen('earlier'), 'out.result.json'));
    server.forget('team', 'earlier/out.result.json');
    expectRefused(
      await namespace.run(job({ output, name: 'other' })),
      /out holds an artifact of kind Adapter .* that is not what this resource makes/,
    );
    expect(digestIn(join(seen('earlier'), 'out'))).toBe(earlier);
    expect(digestOf(await namespace.run(job({ output, name: 'other', replace: true })))).toBe(first);
  });

  test("other people's files are never lost: without an artifact, and among an artifact's", async () => {
    const output = uriOf('people');
    const file = join(seen('people'), 'out/thesis.tex');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, 'years of work');
    expectRefused(
      await namespace.run(job({ output, replace: true })),
      /out holds "thesis\.tex" and is no artifact/,
    );
    rmSync(file);
    digestOf(await namespace.run(job({ output })));
    writeFileSync(file, 'years of work');
    expectRefused(
      await namespace.run(job({ output, steps: 3 })),
      /out holds "thesis\.tex" beside the artifact's own files/,
    );
    expect(readFileSync(file, 'utf8')).toBe('years of work');
    expect(existsSync(join(seen('people'), 'out/manifest.json'))).toBe(true);
  });

  test('inside an artifact, or around one, an output is refused, and the artifact stays one; beside it, it is none', async () => {
    const output = uriOf('around');
    const digest = digestOf(await namespace.run(job({ output })));
    const before = contentOf(seen('around'));
    expectRefused(
      await namespace.run(job({ output: `${output}/deep/nested`, name: 'other', replace: true })),
      new RegExp(
        `^spec\\.output\\.uri: .*around/out/deep/nested lies inside .*around/out, which is an artifact of kind Adapter \\(${digest}\\)`,
      ),
    );
    expectRefused(
      await namespace.run(job({ output: dirname(output), name: 'other', replace: true })),
      /^spec\.output\.uri: .*around holds ".*" (and [0-9]+ more )?and is no artifact; it would be replaced: choose another place/,
    );
    expect(contentOf(seen('around'))).toEqual(before);

    // Not every manifest.json is an artifact's.
    writeFileSync(join(seen('around'), 'manifest.json'), '{"name": "results"}');
    const beside = job({ output: `${dirname(output)}/other/out`, name: 'other' });
    expect(digestOf(await namespace.run(beside))).toBe(digest);
  });

  test('two resources at once: one is refused, and what is made is the other’s whole', async () => {
    const output = uriOf('at-once');
    const long = namespace.run(job({ output, steps: 30 }));
    await isHeld(seen('at-once'));
    const other = await namespace.run(job({ output, name: 'other', uid: 'uid-2' }));
    expectRefused(
      other,
      /OffsiteTune data\/tiny is at work there now|holds the artifact of OffsiteTune data\/tiny/,
    );
    const digest = digestOf(await long);
    expect(digestIn(join(seen('at-once'), 'out'))).toBe(digest);
  });

  test('two pods of one resource at once: the later waits for the earlier, and what is sealed is the later’s', async () => {
    const output = uriOf('followed');
    let stop: ((signal: NodeJS.Signals) => void) | undefined;
    const earlier = namespace.run(job({ output, steps: 500 }), {
      onLine: (line, kill) => {
        if (line['part'] === 'tune') stop ??= kill;
      },
    });
    while (stop === undefined) await sleep(10);
    const later = namespace.run(job({ output, uid: 'uid-2' }), {
      onLine: ({ reason }) => {
        if (reason === 'OutputBusy') stop?.('SIGTERM');
      },
    });
    expect((await earlier).code).toBe(143);
    const digest = digestOf(await later);
    expect(digestIn(join(seen('followed'), 'out'))).toBe(digest);
  });

  test('a pod that is frozen is taken for dead; when it wakes it writes nothing any more', async () => {
    const output = uriOf('frozen');
    const environment = { OFFSITE_LOCK_SECONDS: '3' };
    let signal: ((signal: NodeJS.Signals) => void) | undefined;
    const frozen = namespace.run(job({ output, steps: 500 }), {
      environment,
      onLine: (line, kill) => {
        if (line['part'] === 'tune') signal ??= kill;
      },
    });
    while (signal === undefined) await sleep(10);
    signal('SIGSTOP');
    const digest = digestOf(await namespace.run(job({ output, uid: 'uid-2' }), { environment }));
    const before = contentOf(seen('frozen'));
    signal('SIGCONT');
    const end = await frozen;
    expect([end.code, end.termination?.['reason']], end.text).toEqual([1, 'TakenOver']);
    expect(contentOf(seen('frozen'))).toEqual(before);
    expect(digestIn(join(seen('frozen'), 'out'))).toBe(digest);
  });
});

/** Waits until somebody has the output. */
async function isHeld(directory: string): Promise<void> {
  while (globSync('.out.offsite-lock*', { cwd: directory }).length === 0) await sleep(10);
}

describe('with offsite run', () => {
  const run = (manifest: Manifest, work: string, directory: string) => {
    const file = join(directory, `${work}.yaml`);
    writeManifests(file, [manifest]);
    return offsite(['run', '-f', file, '--work-dir', join(directory, work)]);
  };

  /** A training on the bundle with files of its own. */
  function project(name: string, spec: Record<string, unknown> = {}): { directory: string; tune: Manifest } {
    const directory = join(namespace.directory, name);
    cpSync(join(claim, 'data'), join(directory, 'data'), { recursive: true });
    cpSync(join(claim, 'out/emulator'), join(directory, 'emulator'), { recursive: true });
    const { tune } = tinyManifests();
    setField(tune, 'spec.emulator', { uri: 'file:emulator', digest: emulator.digest });
    setField(tune, 'spec.output.uri', 'file:out');
    for (const [path, value] of Object.entries(spec)) setField(tune, path, value);
    return { directory, tune };
  }

  test('an output that is its own input, by a link or by what lies beside it, is refused', async () => {
    const { directory, tune } = project('linked');
    symlinkSync(join(directory, 'emulator'), join(directory, 'out'));
    const refused = async (right: RegExp) => {
      const { code, stderr } = await run(tune, 'work', directory);
      expect(code, stderr).toBe(1);
      expect(failureOf(join(directory, 'work'), 'OffsiteTune')).toMatchObject({
        reason: 'BadSpec',
        message: expect.stringMatching(right),
      });
    };
    await refused(/spec\.output\.uri: must lie outside of spec\.emulator/);
    setField(tune, 'spec.output.uri', 'file:emulator/../work-of-mine');
    setField(tune, 'spec.data.uri', 'file:work-of-mine.result.json');
    await refused(/spec\.data\.uri: .* is a name that is kept for what lies beside spec\.output\.uri/);
    setField(tune, 'spec.data.uri', 'file:data/train.jsonl');
    setField(tune, 'spec.work', { uri: 'file:data/..' });
    mkdirSync(join(directory, 'offsitetune/default/tiny'), { recursive: true });
    setField(tune, 'spec.data.uri', 'file:offsitetune/default/tiny/train.jsonl');
    await refused(/spec\.work\.uri: spec\.data\.uri .* must lie outside of each other/);
    expect(digestIn(join(directory, 'emulator'))).toBe(emulator.digest);
  });

  test('the same command twice at once: one waits, both end with the same; in one work dir it is refused', async () => {
    const { directory, tune } = project('twice');
    const [first, second, third] = await Promise.all([
      run(tune, 'one', directory),
      run(tune, 'two', directory),
      sleep(0).then(() => run(tune, 'one', directory)),
    ]);
    expect(second.code, second.stderr).toBe(0);
    const codes = [first.code, third.code].sort();
    expect(codes, first.stderr + third.stderr).toEqual([0, 2]);
    expect(first.stderr + third.stderr).toMatch(
      /--work-dir .*one: another `offsite run` \(process \d+\) works there/,
    );
    expect(readdirSync(directory).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(digestIn(join(directory, 'out'))).toMatch(/^sha256:/);
  });
});
