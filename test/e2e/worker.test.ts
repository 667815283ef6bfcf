import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Reports } from '../../operator/progress/index.ts';
import { Mirror, peekManifest, resolveUri, sealArtifact } from '../../src/artifact/index.ts';
import { freePort } from '../support/cluster/ports.ts';
import { digestIn, offsite, savedStatus } from '../support/offsite/index.ts';
import { Namespace, type PodEnd, type PodOptions } from '../support/processes/pod.ts';
import { NatsServer } from '../support/servers/nats-server.ts';
import { S3Server } from '../support/servers/s3-server.ts';
import {
  type Manifest,
  tinyManifests,
  writeManifests,
  writeTinyData,
  writeTinyModel,
} from '../support/tiny/index.ts';

let namespace: Namespace;
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  namespace = new Namespace();
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
  namespace.remove();
});

const stored = (manifest: Manifest) => ({
  ...manifest,
  metadata: { ...manifest.metadata, namespace: 'data', uid: `uid-${manifest.kind}`, generation: 1 },
});

type Artifact = { uri: string; digest: string };
const artifactOf = ({ termination }: PodEnd) => termination?.['artifact'] as Artifact;

/** Model and rows in a claim, artifacts in another. */
function inClaims() {
  const claim = namespace.claim('team');
  writeTinyModel(join(claim, 'model'));
  writeTinyData(join(claim, 'data'));
  return { claim, manifests: tinyManifests((place) => `pvc://team/${place}`) };
}

/** The stages of all three resources, each in a pod of its own. */
async function runAll(
  { build, tune, plug }: ReturnType<typeof tinyManifests>,
  { secretRef, shards = 1, ...options }: PodOptions & { secretRef?: { name: string }; shards?: number } = {},
) {
  const ends: PodEnd[] = [];
  const run = async (job: object, environment: NodeJS.ProcessEnv = {}) => {
    const end = await namespace.run(
      { attempt: 2, ...job },
      {
        ...options,
        environment: { ...options.environment, ...environment },
      },
    );
    expect(end.termination, end.text).toMatchObject({ ok: true });
    expect(end.code).toBe(0);
    ends.push(end);
    return end;
  };
  for (let index = 0; index < shards; index++)
    await run({ stage: 'probe', resource: stored(build), shards }, { JOB_COMPLETION_INDEX: String(index) });
  const emulator = { ...artifactOf(await run({ stage: 'assemble', resource: stored(build) })), secretRef };
  const adapter = {
    ...artifactOf(await run({ stage: 'tune', resource: stored(tune), emulator })),
    secretRef,
  };
  const model = artifactOf(await run({ stage: 'plug', resource: stored(plug), emulator, adapter }));
  return { ends, digests: [emulator.digest, adapter.digest, model.digest] };
}

/** The digests of `offsite run` of the same manifests. */
async function digestsOfRun(claim: string, { build, tune, plug }: ReturnType<typeof tinyManifests>) {
  const [file, work] = [join(namespace.directory, 'all.yaml'), join(namespace.directory, 'work')];
  writeManifests(file, [build, tune, plug]);
  const copy = join(namespace.directory, 'artifacts');
  mkdirSync(copy);
  for (const kind of [build, tune, plug])
    (kind.spec['output'] as { uri: string }).uri = (kind.spec['output'] as { uri: string }).uri.replace(
      'team',
      'copy',
    );
  writeManifests(file, [build, tune, plug]);
  const { code, stderr } = await offsite([
    'run',
    '-f',
    file,
    '--work-dir',
    work,
    '--mount',
    `team=${claim}`,
    '--mount',
    `copy=${copy}`,
  ]);
  expect(code, stderr).toBe(0);
  return ['EmulatorBuild', 'OffsiteTune', 'PlugIn'].map((kind) => savedStatus(work, kind).artifact?.digest);
}

test('pods of every stage, two of them for the probe, make what offsite run makes, and tell it over NATS', async () => {
  const server = await NatsServer.start();
  cleanUp.push(() => server.remove());
  const { claim, manifests } = inClaims();
  (manifests.build.spec['probe'] as Record<string, unknown>)['shards'] = 2;
  const reports = new Reports({ url: server.url, environment: {} });
  const abort = new AbortController();
  const listening = reports.start(abort.signal);
  cleanUp.push(async () => {
    abort.abort();
    await listening;
  });
  const environment = { OFFSITE_NATS_URL: server.url };
  const { ends, digests } = await runAll(manifests, { environment, shards: 2 });

  for (const [name, kind, stage, at] of [
    ['emulator', 'EmulatorBuild', 'assemble', 2],
    ['adapter', 'OffsiteTune', 'tune', 3],
    ['model', 'PlugIn', 'plug', 4],
  ] as const) {
    const beside = resultIn(join(claim, `out/${name}.result.json`));
    const kept = resultIn(join(workIn(claim, kind), 'result.json'));
    expect(kept.result.artifact).toEqual(beside.result.artifact);
    await vi.waitFor(() => expect(reports.resultOf(`uid-${kind}`, stage, 2)).toEqual(kept.result), 10_000);
    expect(reports.resultOf(`uid-${kind}`, stage, 1)).toBeUndefined();
    expect(ends[at]?.termination).toMatchObject({ artifact: kept.result.artifact });
  }
  expect(reports.progressOf('uid-OffsiteTune', 2)).toMatchObject({ stage: 'tune', progressPercentage: 100 });
  expect(readdirSync(join(claim, 'out')).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  expect(await digestsOfRun(claim, manifests)).toEqual(digests);
});

test('SIGTERM in training: a checkpoint and exit 143; the next pod goes on from it to the same adapter', async () => {
  const { claim, manifests } = inClaims();
  // No checkpoint but the one that SIGTERM makes.
  Object.assign(manifests.tune.spec['training'] as object, { steps: 60, checkpointSteps: 1000 });
  const { digests } = await runAll(manifests);
  const adapter = join(claim, 'out/adapter');
  const work = workIn(claim, 'OffsiteTune');
  // The optimiser's state is gone once the adapter is there; the losses stay.
  expect(readdirSync(work).sort()).toEqual(['history.json', 'made.json', 'mark.json', 'result.json']);
  for (const path of [adapter, work, `${adapter}.result.json`]) rmSync(path, { recursive: true });

  const emulator = { uri: 'pvc://team/out/emulator', digest: digests[0] };
  const job = { stage: 'tune', resource: stored(manifests.tune), emulator };
  const stopped = await namespace.run(job, { onLine: atFirstStep((kill) => kill('SIGTERM')) });
  expect(stopped).toMatchObject({ code: 143, signal: null });
  expect(stopped.termination).toMatchObject({ ok: false, reason: 'Cancelled', exitCode: 143 });
  expect(globSync('checkpoints/*/*', { cwd: work })).toEqual([expect.stringMatching(/\/step-\d+$/)]);
  expect(existsSync(adapter)).toBe(false);

  const next = await namespace.run(job);
  expect(next.termination).toMatchObject({ ok: true, summary: { training: { resumes: 1 } } });
  expect(artifactOf(next).digest).toBe(digests[1]);
});

test('a stage that was done returns its whole result at once, without its inputs; only the word of its work place is believed', async () => {
  const { claim, manifests } = inClaims();
  await runAll(manifests);
  const emulator = { uri: 'pvc://team/out/emulator', digest: digestIn(join(claim, 'out/emulator')) };
  const job = { stage: 'tune', resource: stored(manifests.tune), emulator };
  const kept = resultIn(join(workIn(claim, 'OffsiteTune'), 'result.json'));
  expect(Object.keys(kept.result['training'] as object)).toContain('lastLoss');
  renameSync(join(claim, 'data'), join(claim, 'away'));
  const again = await namespace.run(job);
  expect(again.code).toBe(0);
  const { artifact, ...summary } = kept.result;
  expect(again.termination).toEqual({ ok: true, stage: 'tune', artifact, summary });

  const changed = structuredClone(stored(manifests.tune));
  Object.assign(changed.spec['training'] as object, { steps: 9 });
  const other = await namespace.run({ ...job, resource: changed });
  expect(other.code).toBe(11);
  expect(other.termination).toMatchObject({ ok: false, reason: 'BadData' });
  expect(other.termination?.['message']).toContain('pvc://team/data/train.jsonl');

  // Who may write beside the artifact writes both anew; what lies there says that it is this resource's.
  renameSync(join(claim, 'away'), join(claim, 'data'));
  const adapter = join(claim, 'out/adapter');
  const { kind, madeFrom, hyperparameters } = peekManifest(adapter)!.manifest;
  const { digest } = sealArtifact(adapter, { kind, madeFrom, hyperparameters, scores: { bestStep: 1 } });
  const beside = resultIn(`${adapter}.result.json`);
  const { identity } = kept;
  const result = { ...beside.result, artifact: { ...(artifact as object), digest } };
  writeFileSync(`${adapter}.result.json`, JSON.stringify({ ...beside, identity, result }));
  const undeceived = await namespace.run(job);
  expect(undeceived.termination).toMatchObject({ ok: true, artifact, summary: { training: { steps: 8 } } });
  expect(digestIn(adapter)).toBe((artifact as { digest: string }).digest);
});

test('what OFFSITE_JOB lacks: exit 10 and the field, and nothing of what stands there', async () => {
  const { manifests } = inClaims();
  const tune = stored(manifests.tune);
  const wrong: [unknown, RegExp][] = [
    ['{"token": "hush', /^OFFSITE_JOB: is not valid JSON$/],
    [{ stage: 'bake', resource: tune }, /^OFFSITE_JOB: stage: /],
    [{ stage: 'plug', resource: tune }, /^OFFSITE_JOB: stage: OffsiteTune has tune$/],
    [{ stage: 'tune', resource: tune }, /^OFFSITE_JOB: emulator: is missing; stage tune reads it$/],
    [
      {
        stage: 'tune',
        resource: { ...tune, spec: { ...tune.spec, training: { steps: 0 } } },
        emulator: { uri: 'pvc://team/x' },
      },
      /spec.training.steps/,
    ],
    [
      { stage: 'probe', resource: stored(manifests.build), shards: 2 },
      /^JOB_COMPLETION_INDEX: must be a number from 0 to 1/,
    ],
    [
      { stage: 'probe', resource: stored(tinyManifests((place) => `pvc://gone/${place}`).build) },
      /claim gone is not mounted/,
    ],
  ];
  for (const [job, right] of wrong) {
    const { code, termination, text } = await namespace.run(job);
    expect(termination, text).toMatchObject({ ok: false, reason: 'BadSpec', exitCode: 10 });
    expect(termination?.['message']).toMatch(right);
    expect(code).toBe(10);
    expect(text).not.toContain('hush');
  }
});

test('NATS away, or credentials that are none: the stage ends well and its log says so', async () => {
  const { manifests } = inClaims();
  mkdirSync(join(namespace.directory, 'nats/nats.creds'), { recursive: true });
  const { code, text } = await namespace.run(
    { stage: 'probe', resource: stored(manifests.build) },
    { environment: { OFFSITE_NATS_URL: `nats://127.0.0.1:${await freePort()}` } },
  );
  expect(code).toBe(0);
  expect(text).toContain('NatsUnavailable');
});

test('everything on S3, each pod with nothing but its Secret: the same digests; training goes on from S3 after a kill', async () => {
  const server = await S3Server.start('team');
  cleanUp.push(() => server.remove());
  const { claim, manifests: local } = inClaims();
  const longer = { steps: 80, checkpointSteps: 2 };
  Object.assign(local.tune.spec['training'] as object, longer);
  const expected = (await runAll(local)).digests;

  namespace.secret('store', server.credentials);
  const secretRef = { name: 'store' };
  const manifests = tinyManifests((place) => `s3://team/${place}`);
  Object.assign(manifests.tune.spec['training'] as object, longer);
  const withSecret = JSON.parse(
    JSON.stringify(manifests).replaceAll(
      /"uri":"s3:[^"]*"/g,
      (uri) => `${uri},"secretRef":${JSON.stringify(secretRef)}`,
    ),
  ) as typeof manifests;
  for (const place of ['model', 'data']) await upload(join(claim, place), `s3://team/${place}`, server);

  (withSecret.build.spec['probe'] as Record<string, unknown>)['shards'] = 2;
  for (const { spec } of Object.values(withSecret)) spec['work'] = { uri: 's3://team/work', secretRef };
  const { ends, digests } = await runAll(withSecret, { secretRef, shards: 2 });
  expect(digests).toEqual(expected);
  for (const { text } of ends) expect(text).not.toContain(server.secretKey);

  const key = (name: string) => server.fileOf('team', `out/${name}`);
  expect(existsSync(key('emulator/manifest.json'))).toBe(true);
  const states = server.fileOf('team', 'work/pooled-states');
  const joined = readdirSync(states).filter((name) => existsSync(join(states, name, 'manifest.json')));
  expect(joined).toHaveLength(1);
  expect(globSync('*.shards/*.safetensors', { cwd: states })).toEqual([]);

  const work = server.fileOf('team', 'work/offsitetune/data/tiny');
  expect(globSync('**/*.safetensors', { cwd: work })).toEqual([]);
  for (const gone of ['out/adapter', 'out/adapter.result.json', 'work/offsitetune/data/tiny'])
    server.forget('team', gone);
  expect(existsSync(key('adapter'))).toBe(false);
  const emulator = { uri: 's3://team/out/emulator', digest: expected[0], secretRef };
  const job = { stage: 'tune', resource: stored(withSecret.tune), emulator };
  const killed = await namespace.run(job, {
    onLine: atFirstStep(async (kill) => {
      while (!hasCheckpoint(work)) await sleep(10);
      kill('SIGKILL');
    }),
  });
  expect(killed.signal).toBe('SIGKILL');
  const next = await namespace.run(job);
  expect(next.termination, next.text).toMatchObject({ ok: true, summary: { training: { resumes: 1 } } });
  expect(artifactOf(next).digest).toBe(expected[1]);
});

const hasCheckpoint = (work: string) => globSync('checkpoints/*/*/state.json', { cwd: work }).length > 0;

/** Where what is not the artifact lies when no resource says so. */
const workIn = (claim: string, kind: string) =>
  join(claim, '.offsite-work', kind.toLowerCase(), 'data', 'tiny');

const resultIn = (file: string) =>
  JSON.parse(readFileSync(file, 'utf8')) as { identity?: string; result: Record<string, unknown> };

/** Does something once training has begun. */
function atFirstStep(
  act: (kill: (signal: NodeJS.Signals) => void) => unknown,
): NonNullable<PodOptions['onLine']> {
  let acted = false;
  return ({ part }, kill) => {
    if (acted || part !== 'tune') return;
    acted = true;
    void act(kill);
  };
}

async function upload(from: string, uri: string, server: S3Server): Promise<void> {
  const scratch = join(namespace.directory, 'upload');
  const mirror = new Mirror({
    scratch,
    environment: server.credentials,
    signal: new AbortController().signal,
  });
  const path = resolveUri(uri, { claims: {}, base: '/', scratch }, 'uri');
  cpSync(from, path, { recursive: true });
  await mirror.push(path, { exact: true });
}
