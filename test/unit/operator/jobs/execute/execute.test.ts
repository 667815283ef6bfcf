import { describe, expect, it } from 'vitest';
import { ownerReference } from '../../../../../operator/jobs/identity.ts';
import {
  type Decision,
  Entrances,
  type ExecuteOptions,
  execute,
  type Job,
  Recent,
  typeOf,
} from '../../../../../operator/jobs/index.ts';
import { type ApiClient, ApiError, type KubeObject } from '../../../../../operator/runtime/index.ts';
import { resource } from '../../../../support/unit/operator/fixtures.ts';

const type = typeOf('OffsiteTune');
const template = { spec: { nodeSelector: { 'a b': 'c' }, nodeName2: 'x' } };
const object = resource('OffsiteTune', { spec: { template } });
const job = (name = 'words-tune-0123456789-1', uid?: string): Job => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: {
    name,
    namespace: 'team',
    ...(uid && { uid }),
    ownerReferences: [ownerReference(object)],
    labels: {
      'offsite-tuning.dev/uid': 'uid-OffsiteTune',
      'offsite-tuning.dev/stage': 'tune',
      'offsite-tuning.dev/attempt': '1',
    },
  },
  spec: { template },
});

/** A client that writes down what it is asked, and fails where it is told to. */
function setUp(failures: Record<string, ApiError> = {}, there?: KubeObject) {
  const asked: string[] = [];
  const bodies: KubeObject[] = [];
  const told = (request: string, body?: KubeObject) => {
    asked.push(request);
    if (body) bodies.push(body);
    const failure = failures[request.split(' ').slice(0, 2).join(' ')];
    if (failure) throw failure;
  };
  const client = {
    async applyStatus(_: unknown, body: KubeObject) {
      told('status', body);
      return { ...body, metadata: { ...body.metadata, resourceVersion: '2', managedFields: [] } };
    },
    async create({ kind }: { kind: string }, body: KubeObject) {
      told(`create ${kind}`, body);
      return { ...body, metadata: { ...body.metadata, uid: 'job-1', creationTimestamp: 'now' } };
    },
    async get() {
      told('get');
      return there;
    },
    async delete(_: unknown, __: string, name: string, options: object) {
      told(`delete ${name} ${JSON.stringify(options)}`);
    },
  } as unknown as ApiClient;
  const recent = new Recent(() => 0);
  const options: ExecuteOptions = {
    client,
    recent,
    entrances: new Entrances(() => true),
    events: { event: (_, severity, reason) => void asked.push(`event ${severity} ${reason}`) },
    credentials: { issue: ({ uid }) => `creds for ${uid}`, authority: 'PEM' },
  };
  const run = (decision: Partial<Decision>) =>
    execute(type, object, { remove: [], create: [], events: [], ...decision }, options);
  return { asked, bodies, recent, run };
}

const error = (status: number, reason: string, message = reason, details?: ApiError['details']) =>
  new ApiError(message, { status, reason, details });

describe('a decision comes true', () => {
  it('in this order: status, its events, removals, credentials, Jobs', async () => {
    const { asked, bodies, run } = setUp();
    const outcome = await run({
      status: { phase: 'Pending' },
      events: [{ type: 'Normal', reason: 'Restarted', message: '' }],
      remove: [job('old', 'job-0')],
      create: [job()],
      lookAgainMilliseconds: 7,
    });
    expect(asked).toEqual([
      'status',
      'event Normal Restarted',
      'delete old {"propagationPolicy":"Foreground","preconditions":{"uid":"job-0"}}',
      'event Normal JobDeleted',
      'create Secret',
      'create Job',
      'event Normal JobCreated',
    ]);
    expect(outcome).toEqual({ requeueAfterMilliseconds: 7 });
    expect(bodies[0]?.metadata).toEqual({
      name: 'words',
      namespace: 'team',
      uid: 'uid-OffsiteTune',
      resourceVersion: '1',
    });
    expect(bodies[1]).toMatchObject({
      metadata: { name: 'words-tune-0123456789-1-nats', ownerReferences: [{ uid: 'uid-OffsiteTune' }] },
      stringData: { 'nats.creds': 'creds for uid-OffsiteTune', 'ca.crt': 'PEM' },
    });
  });

  it('not at all when the status was decided on an older version', async () => {
    const { asked, run } = setUp({ status: error(409, 'Conflict') });
    await expect(run({ status: {}, create: [job()] })).rejects.toMatchObject({ reason: 'Conflict' });
    expect(asked).toEqual(['status']);
  });

  it('not at all when the resource is gone', async () => {
    const { asked, run } = setUp({ status: error(404, 'NotFound') });
    expect(await run({ status: {}, create: [job()] })).toEqual({});
    expect(asked).toEqual(['status']);
  });

  it('though the Job to remove is gone, or another one has its name', async () => {
    for (const gone of [error(404, 'NotFound'), error(409, 'Conflict')]) {
      const { run, asked } = setUp({ 'delete old': gone });
      await run({ remove: [job('old', 'job-0')] });
      expect(asked).toHaveLength(1);
    }
  });

  it('though its credentials were made before', async () => {
    const { run, asked } = setUp({ 'create Secret': error(409, 'AlreadyExists') });
    await run({ create: [job()] });
    expect(asked.at(-1)).toBe('event Normal JobCreated');
  });
});

describe('the API server refuses the Job', () => {
  it.each([
    ['a quota', error(403, 'Forbidden', 'create Job team/x: exceeded quota'), false, 'exceeded quota'],
    [
      'a field of the own template',
      error(422, 'Invalid', 'create Job team/x: Job.batch "x" is invalid', {
        causes: [{ field: 'spec.template.spec.nodeSelector', message: 'Invalid value' }],
      }),
      true,
      'spec.template.spec.nodeSelector: Invalid value',
    ],
    [
      'an unknown field of the own template',
      error(
        400,
        'BadRequest',
        'create Job team/x: strict decoding error: unknown field "spec.template.spec.nodeName2"',
      ),
      true,
      'strict decoding error: unknown field "spec.template.spec.nodeName2"',
    ],
    [
      'a ValidatingAdmissionPolicy',
      error(
        422,
        'Invalid',
        'create Job team/x: jobs.batch "x" is forbidden: ValidatingAdmissionPolicy \'cost\' denied request',
        {
          causes: [{ message: 'cost-centre is missing' }],
        },
      ),
      false,
      'jobs.batch "x" is forbidden: ValidatingAdmissionPolicy \'cost\' denied request',
    ],
    [
      'a webhook',
      error(400, 'BadRequest', 'create Job team/x: admission webhook "a.b" denied the request: no'),
      false,
      'admission webhook "a.b" denied the request: no',
    ],
  ])(
    'for %s: it is remembered, and the situation is looked at afresh',
    async (_, failure, final, message) => {
      const { run, recent } = setUp({ 'create Job': failure });
      expect(await run({ create: [job()] })).toEqual({ requeueAfterMilliseconds: 1 });
      expect(recent.refusal('uid-OffsiteTune')).toMatchObject({
        final,
        message,
        generation: 1,
        tryAgainAt: 5000,
      });
    },
  );

  it('later and later, until it takes it', async () => {
    const failures = { 'create Job': error(403, 'Forbidden') };
    const { run, recent } = setUp(failures);
    const waits = [];
    for (let i = 0; i < 9; i++) {
      await run({ create: [job()] });
      waits.push(recent.refusal('uid-OffsiteTune')?.tryAgainAt);
    }
    expect(waits).toEqual([5000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]);
    delete (failures as Record<string, ApiError>)['create Job'];
    await run({ create: [job()] });
    expect(recent.refusal('uid-OffsiteTune')).toBeUndefined();
  });

  it.each([500, 429, 0])(
    'for the moment (HTTP %i): it is an error, tried again by the queue',
    async (status) => {
      const { run, recent } = setUp({ 'create Job': error(status, 'x') });
      await expect(run({ create: [job()] })).rejects.toBeInstanceOf(ApiError);
      expect(recent.refusal('uid-OffsiteTune')).toBeUndefined();
    },
  );

  it('because one of its name is there: ours is taken, a foreign one is named', async () => {
    const exists = { 'create Job': error(409, 'AlreadyExists') };
    const own = setUp(exists, job(undefined, 'job-7'));
    expect(await own.run({ create: [job()] })).toEqual({});
    expect(own.recent.jobs('uid-OffsiteTune', [])).toMatchObject([{ metadata: { uid: 'job-7' } }]);
    const foreign = setUp(exists, {
      ...job(undefined, 'job-8'),
      metadata: { ...job().metadata, uid: 'job-8', ownerReferences: [] },
    });
    expect(await foreign.run({ create: [job()] })).toEqual({ requeueAfterMilliseconds: 1 });
    expect(foreign.recent.refusal('uid-OffsiteTune')?.message).toContain('belongs to something else');
  });
});

describe('what was just written is known before the caches show it', () => {
  it('the status, until the cache is as new', async () => {
    const { run, recent } = setUp();
    await run({ status: { phase: 'Running' } });
    expect(recent.object(object)).toMatchObject({
      status: { phase: 'Running' },
      metadata: { resourceVersion: '2' },
    });
    const newer = { ...object, metadata: { ...object.metadata, resourceVersion: '10' } };
    expect(recent.object(newer)).toBe(newer);
    expect(recent.object(object)).toBe(object);
  });

  it('a created Job, until the cache has shown it, also if it is gone by then', async () => {
    const { run, recent } = setUp();
    await run({ create: [job()] });
    const [created] = recent.jobs('uid-OffsiteTune', []);
    expect(created?.metadata.uid).toBe('job-1');
    expect(recent.jobs('uid-OffsiteTune', [created as Job])).toHaveLength(1);
    expect(recent.jobs('another', [])).toEqual([]);
    recent.seen(created as Job);
    expect(recent.jobs('uid-OffsiteTune', [])).toEqual([]);
  });

  it('a removed Job, as being deleted', async () => {
    const { run, recent } = setUp();
    const old = job('old', 'job-0');
    await run({ remove: [old] });
    expect(recent.jobs('uid-OffsiteTune', [old])[0]?.metadata.deletionTimestamp).toBeDefined();
  });

  it('for half a minute at most', () => {
    let now = 0;
    const recent = new Recent(() => now);
    recent.created(job('a', 'job-1'));
    now = 31_000;
    expect(recent.jobs('uid-OffsiteTune', [])).toEqual([]);
  });
});
