/** What the operator writes is what the worker reads, and what the worker writes is what the operator reads. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildJob } from '../../../../operator/jobs/build/job.ts';
import { failureOfPod } from '../../../../operator/jobs/pods/failure.ts';
import { terminationOf } from '../../../../operator/jobs/pods/termination.ts';
import { rulesFor } from '../../../../operator/kinds.ts';
import {
  allKinds,
  artifactsOf,
  type ErrorReason,
  environmentOf,
  exitCodeOf,
  exitCodes,
  finalExits,
  graceSecondsIn,
  handedOn,
  heardIn,
  httpsHostsIn,
  isFailure,
  type Kind,
  kinds,
  mendable,
  OffsiteError,
  parseResource,
  readPodJob,
  readTermination,
  reasonOfExit,
  resourceIn,
  type StageName,
  stagesOf,
  stoppedExit,
  writePodJob,
  writeTermination,
} from '../../../../src/api/index.ts';
import { failureOf, type StageOutcome } from '../../../../src/worker/outcome.ts';
import { ended, pod, resource } from '../../../support/unit/operator/fixtures.ts';

const stages = allKinds().flatMap((kind) => stagesOf(kind).map((stage): [Kind, StageName] => [kind, stage]));
const anyStage = fc.constantFrom(...stages);
const digest = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 64, maxLength: 64 });
const anyInput = fc.record(
  {
    uri: fc.string({ minLength: 1, maxLength: 60 }).map((path) => `pvc://claim/$(HOME)$$${path}`),
    digest: digest.map((hex) => `sha256:${hex}`),
    secretRef: fc.record({ name: fc.constantFrom('keys', 'a.b') }),
  },
  { requiredKeys: ['uri', 'digest'] },
);

/** A resource as it is stored: the one of the reference, with a template and words that a shell or the kubelet would change. */
function stored(kind: Kind, name: string) {
  const example = parse(kinds[kind].example) as { apiVersion: string; kind: string; spec: object };
  return {
    ...example,
    metadata: { name, namespace: 'team', uid: `uid-$(${kind})`, generation: 3 },
    spec: { ...example.spec, template: { spec: { containers: [] } } },
  };
}

const anyJob = fc.record({
  of: anyStage,
  name: fc.constantFrom('words', 'a-1'),
  attempt: fc.integer({ min: 1, max: 1e6 }),
  inputs: fc.record({ emulator: anyInput, adapter: anyInput }),
  shards: fc.option(fc.integer({ min: 1, max: 64 }), { nil: undefined }),
});

describe('the job', () => {
  it('is read as it was written, through the kubelet, for every stage of every kind', () => {
    fc.assert(
      fc.property(anyJob, ({ of: [kind, stage], name, attempt, inputs: all, shards }) => {
        const written = stored(kind, name);
        const roles = artifactsOf(written).map(({ role }) => role as keyof typeof all);
        const inputs = Object.fromEntries(roles.map((role) => [role, all[role]]));
        const job = writePodJob({ stage, attempt, resource: written, inputs, shards });
        const told = environmentOf({ job, graceSeconds: 50, httpsHosts: [], natsUrl: undefined });
        const heard = heardIn(inPod(told));
        const { template: _, ...spec } = written.spec;
        const bare = { ...written, spec };
        expect(readPodJob(heard.job)).toEqual({
          ...{ stage, attempt, inputs, shards },
          resource: parseResource(bare, 'test'),
          written: { uid: written.metadata.uid, spec },
        });
        expect(resourceIn(String(heard.job))).toEqual(bare);
      }),
      { numRuns: 30 },
    );
  });

  it('names its artifacts by no word that it says something else with', () => {
    const words = Object.keys(
      JSON.parse(writePodJob({ ...someJob('PlugIn', 'plug'), inputs: {}, shards: 1 })),
    );
    const roles = allKinds().flatMap((kind) => artifactsOf(stored(kind, 'a')).map(({ role }) => role));
    expect(words.filter((word) => roles.includes(word))).toEqual([]);
  });

  it('without an artifact that its stage reads is refused by its role', () => {
    for (const [kind, stage] of stages) {
      const missing = artifactsOf(stored(kind, 'a'))[0]?.role;
      const read = () => readPodJob(writePodJob({ ...someJob(kind, stage), inputs: {} }));
      if (missing === undefined) expect(read().inputs).toEqual({});
      else expect(read).toThrow(`OFFSITE_JOB: ${missing}: is missing; stage ${stage} reads it`);
    }
  });
});

const someJob = (kind: Kind, stage: StageName) => ({
  ...{ stage, attempt: 1, resource: stored(kind, 'a'), inputs: {}, shards: undefined },
});

/** As the kubelet hands literal values on. */
const inPod = (told: readonly { name: string; value: string }[]) =>
  Object.fromEntries(told.map(({ name, value }) => [name, handedOn(value)]));

describe('the environment', () => {
  it('is heard as it was said', () => {
    const anyHosts = fc.uniqueArray(fc.constantFrom('a.example', 'b.example', 'c.example'));
    const anyUrl = fc.option(fc.constantFrom('nats://a:4222', 'tls://$(A)$$b'), { nil: undefined });
    fc.assert(
      fc.property(fc.string(), fc.nat(600), anyHosts, anyUrl, (job, graceSeconds, httpsHosts, natsUrl) => {
        const environment = inPod(environmentOf({ job, graceSeconds, httpsHosts, natsUrl }));
        expect(heardIn(environment)).toMatchObject({ job, graceSeconds, natsUrl });
        expect(httpsHostsIn(environment)).toEqual(httpsHosts);
      }),
    );
  });

  it('has times that a timer can take; what is no time is the usual one', () => {
    const grace = (OFFSITE_GRACE_SECONDS: string) => heardIn({ OFFSITE_GRACE_SECONDS }).graceSeconds;
    expect([grace('2592000'), grace('9'.repeat(400)), grace('0.5'), grace('')]).toEqual([
      2147483,
      2147483,
      0.5,
      graceSecondsIn({}),
    ]);
    for (const text of ['30s', '-1', 'Infinity', '1e3']) expect(grace(text)).toBe(graceSecondsIn({}));
    expect(heardIn({ OFFSITE_LOCK_SECONDS: 'x' }).lockSeconds).toBe(heardIn({}).lockSeconds);
  });

  it('says of every place what its Job mounts there', () => {
    for (const [kind, stage] of stages) {
      const object = resource(kind, { spec: { output: { uri: 's3://b/x', secretRef: { name: 'keys' } } } });
      const parsed = parseResource(object, 'test');
      const rules = rulesFor(kind);
      const settings = { image: 'worker', natsUrl: 'nats://n', natsCredentials: true };
      const work = rules.work(parsed, stage, {}, undefined);
      const job = buildJob(
        { object, resource: parsed, work, inputs: {}, attempt: 1, specHash: 'a' },
        settings,
      );
      const [worker] = (job as unknown as Built).spec.template.spec.containers;
      const heard = heardIn(inPod(worker!.env.filter(({ name }) => name !== 'OFFSITE_JOB')));
      const mounted = worker!.volumeMounts.map(({ mountPath }) => mountPath);
      expect(mounted).toEqual(
        expect.arrayContaining([
          heard.scratch,
          heard.nats,
          `${heard.secrets}/keys`,
          expect.stringMatching(`^${heard.claims}/`),
        ]),
      );
      expect(worker!.terminationMessagePath).toBe(heard.terminationLog);
    }
  });
});

interface Built {
  spec: {
    template: {
      spec: {
        containers: {
          env: { name: string; value: string }[];
          volumeMounts: { mountPath: string }[];
          terminationMessagePath: string;
        }[];
      };
    };
  };
}

const reasons = Object.keys(exitCodes) as ErrorReason[];
const anyArtifact = fc.record({
  uri: fc.webPath().map((path) => `pvc://claim${path}/x`),
  digest: digest.map((hex) => `sha256:${hex}`),
  sizeBytes: fc.maxSafeNat(),
});
const anyStatus = fc.record(
  {
    artifact: anyArtifact,
    training: fc.record({ steps: fc.nat(), lastLoss: fc.string() }),
    plan: fc.record({ kept: fc.array(fc.nat(1023), { maxLength: 400 }) }),
    gates: fc.array(fc.record({ name: fc.string(), passed: fc.boolean() }), { maxLength: 8 }),
  },
  { requiredKeys: [] },
);
/** However a stage ends: well, with an error of its own, of the system, or of none that is known. */
const anyOutcome: fc.Arbitrary<StageOutcome> = fc.oneof(
  anyStatus.map((status) => ({ ok: true as const, status })),
  fc
    .oneof(
      fc
        .tuple(fc.constantFrom(...reasons), fc.string({ unit: 'grapheme', maxLength: 3000 }))
        .map(([reason, message]): Error => new OffsiteError(reason, message)),
      fc
        .constantFrom('ENOSPC', 'EACCES', 'EIO', 'EMFILE', 'ELOOP')
        .map((code) => Object.assign(new Error(`${code}: 'a'`), { code })),
      fc.string().map((message) => new Error(message)),
    )
    .map((error) => ({ ok: false as const, ...failureOf(error), status: {} })),
);

describe('the end', () => {
  it('is read as it was written, for all outcomes: the reason, and of message and result as much as there was room for', () => {
    fc.assert(
      fc.property(anyStage, anyOutcome, ([kind, stage], outcome) => {
        const text = writeTermination(stage, outcome);
        const said = terminationOf(ended(pod(resource(kind)), { exitCode: 1, message: text }));
        expect(said).toEqual(readTermination(text));
        expect(said).toMatchObject({ ok: outcome.ok, isCut: false });
        if (said?.ok && outcome.ok) {
          const { artifact, ...fields } = outcome.status;
          expect(said.artifact).toEqual(artifact);
          for (const [name, value] of Object.entries(said.summary ?? {})) expect(fields[name]).toEqual(value);
          if (JSON.stringify(outcome.status).length < 800) expect(said.summary ?? {}).toEqual(fields);
        } else if (said?.ok === false && !outcome.ok) {
          expect(said.reason).toBe(outcome.reason);
          const beginning = said.message.endsWith('…') ? said.message.slice(0, -1) : said.message;
          expect(outcome.message.startsWith(beginning) || outcome.message === said.message).toBe(true);
        }
      }),
    );
  });

  it('has a code that the operator takes for what it was, for all outcomes, stopped or not', () => {
    fc.assert(
      fc.property(anyOutcome, fc.boolean(), (outcome, stopped) => {
        const code = exitCodeOf(outcome, stopped);
        const wasStopped = outcome.ok ? stopped : outcome.reason === 'Cancelled';
        expect(isFailure(code)).toBe(!outcome.ok && !wasStopped);
        expect(code === stoppedExit).toBe(wasStopped);
        if (outcome.ok || wasStopped) return;
        const known = outcome.reason in exitCodes;
        expect(finalExits.includes(code)).toBe(code !== mendable);
        if (known) expect(reasonOfExit[code]).toBe(outcome.reason);
      }),
    );
  });

  it.each(reasons)('%s becomes that reason by its code alone, where the message is lost', (reason) => {
    const object = resource('PlugIn');
    const { exitCode } = new OffsiteError(reason, 'lost');
    const gone = ended(pod(object), { exitCode });
    const job = { metadata: { name: 'a' } } as never;
    expect(failureOfPod(job, gone, 'plug')).toMatchObject({ reason });
  });
});
