/** Templates that are made to be read otherwise than they are merged, or to take long: refused by field, at once. */
import { describe, expect, it } from 'vitest';
import { isOwnTemplatesFault } from '../../../../../operator/jobs/execute/refusal.ts';
import type { Json } from '../../../../../operator/jobs/json.ts';
import { writesOf } from '../../../../../operator/jobs/outputs.ts';
import { checkSpec } from '../../../../../operator/jobs/spec/check.ts';
import { merge } from '../../../../../operator/jobs/spec/template.ts';
import { withoutHugeTemplate } from '../../../../../operator/jobs/spec/template-form.ts';
import { ApiError } from '../../../../../operator/runtime/index.ts';
import { nearestOf } from '../../../../../src/api/problems.ts';
import { resource, settings, World } from '../../../../support/unit/operator/fixtures.ts';

const withTemplate = (template: unknown) => resource('EmulatorBuild', { spec: { template } });

function problemsOf(template: unknown): string[] {
  const checked = checkSpec(withTemplate(template));
  return 'problems' in checked ? checked.problems.map(({ field, reason }) => `${field}: ${reason}`) : [];
}

/** Milliseconds of this process's own computing, whatever else the machine does. */
function timeOf(work: () => unknown): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const misleading = 'no field of a pod template may have this name: leave it out';

/** As the API server hands it on: the name is the object's own. */
const hidden = JSON.parse(`{"spec":{
  "__proto__":{"initContainers":[{"name":"root","image":"evil","securityContext":{"privileged":true,"runAsUser":0}}]},
  "initContainers":[],
  "containers":[
    {"name":"x","image":"evil"},
    {"name":"y","__proto__":{"securityContext":{"privileged":true}},"securityContext":{}}]}}`) as Json;

describe('names by which JavaScript reaches what is not the object’s own', () => {
  it('are refused wherever they stand, and no Job is made', () => {
    expect(problemsOf(hidden)).toEqual([
      `spec.template.spec.__proto__: ${misleading}`,
      `spec.template.spec.containers[1].__proto__: ${misleading}`,
    ]);
    const world = new World(withTemplate(hidden)).run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.jobs).toEqual([]);
    expect(problemsOf(JSON.parse('{"__proto__":{"spec":{}}}'))).toEqual([
      `spec.template.__proto__: ${misleading}`,
    ]);
    expect(problemsOf({ metadata: { annotations: { constructor: 'a' } }, spec: { prototype: 1 } })).toEqual([
      `spec.template.metadata.annotations.constructor: ${misleading}`,
      `spec.template.spec.prototype: ${misleading}`,
    ]);
  });

  it('bring nothing into what is merged: they stay fields of their own', () => {
    const defaults = { spec: { containers: [{ name: 'worker' }] } };
    const spec = merge(defaults, hidden)['spec'] as Json;
    expect(spec['initContainers']).toEqual([]);
    expect(Object.getPrototypeOf(spec)).toBe(Object.prototype);
    expect(Object.keys(spec)).toContain('__proto__');
    const [, , y] = spec['containers'] as Json[];
    expect(y?.['securityContext']).toEqual({});
    expect(({} as Json)['initContainers']).toBeUndefined();
    expect(merge({ constructor: [1] }, { constructor: [2] })).toEqual({ constructor: [2] });
  });

  it('are no field of the resource’s own in an answer of the API server', () => {
    const object = withTemplate({ spec: {} });
    const job = new World(object).run().job('probe');
    const causes = [{ field: 'spec.template.spec.constructor', message: 'x' }];
    const error = new ApiError('', { status: 422, reason: 'Invalid', details: { causes } });
    expect(isOwnTemplatesFault(error, job, object)).toBe(false);
  });
});

describe('levels', () => {
  const nested = (levels: number): unknown => {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = { a: value };
    return value;
  };

  it('are bounded: a hundred are read, more are refused, however many', () => {
    // Below the template and its spec.
    expect(problemsOf({ spec: { x: nested(98) } })).toEqual([]);
    for (const levels of [99, 2000, 9000])
      expect(problemsOf({ spec: { x: nested(levels) } })).toEqual([
        expect.stringMatching(
          /^spec\.template\.spec\.x(\.a){98}: is more than 100 levels deep: no field of a pod template is$/,
        ),
      ]);
    expect(new World(withTemplate({ spec: { x: nested(9000) } })).run().holding).toEqual(['Failed/BadSpec']);
  });

  it('are none of a place: a uri in a template is no address of ours', () => {
    expect(problemsOf({ spec: { x: { uri: 'file:/a' } } })).toEqual([]);
  });
});

describe('a template that is huge', () => {
  const huge = [
    { spec: { tolerations: Array.from({ length: 700_000 }, () => 1) } },
    { spec: { volumes: Array.from({ length: 110_000 }, (_, i) => ({ name: `${i}` })) } },
    { metadata: { annotations: { a: 'x'.repeat(300_000) } } },
    { spec: { ['x'.repeat(300_000)]: 1 } },
  ];

  it('is refused at once, and no cache keeps it', () => {
    const refused = [
      'spec.template: is larger than 10000 values or 262144 characters: put what is long into a ConfigMap',
    ];
    for (const template of huge) {
      expect(timeOf(() => expect(problemsOf(template)).toEqual(refused))).toBeLessThan(500);
      const kept = withoutHugeTemplate(withTemplate(template));
      expect(JSON.stringify(kept).length).toBeLessThan(1000);
      const checked = checkSpec(kept);
      expect('problems' in checked && checked.problems).toEqual([
        { field: 'spec.template', reason: refused[0]!.replace('spec.template: ', '') },
      ]);
    }
    const usual = withTemplate({ spec: { containers: [{ name: 'worker' }] } });
    expect(withoutHugeTemplate(usual)).toBe(usual);
  });
});

it('the worker’s own settings and its one life are not a template’s', () => {
  const env = ['OFFSITE_CLAIMS', 'OFFSITE_LOCK_SECONDS'].map((name) => ({ name, value: '/' }));
  const worker = {
    name: 'worker',
    env,
    restartPolicy: 'Always',
    restartPolicyRules: [{ action: 'Restart' }],
  };
  const world = new World(withTemplate({ spec: { containers: [worker] } })).run();
  const { template } = world.job('probe').spec as { template: { spec: { containers: Json[] } } };
  const [made] = template.spec.containers;
  // Empty is as good as absent.
  for (const { name } of env) expect(made!['env']).toContainEqual({ name, value: '' });
  expect(made).not.toHaveProperty('restartPolicy');
  expect(made).not.toHaveProperty('restartPolicyRules');
});

describe('two entries with one name', () => {
  it.each(['containers', 'initContainers', 'volumes'])('are refused in %s', (list) => {
    const entries = [{ name: 'a' }, { name: 'worker' }, { name: 'a' }];
    expect(problemsOf({ spec: { [list]: entries } })).toEqual([
      `spec.template.spec.${list}[2].name: ${list}[0] has this name, too: put both into one entry, or name one otherwise`,
    ]);
  });

  it('in env are the last, and never over what the operator says', () => {
    const doubled = (name: string) => [
      { name, value: 'a' },
      { name, value: 'b' },
    ];
    const env = ['OFFSITE_JOB', 'ORT_DISABLE_TELEMETRY', 'OFFSITE_HTTPS_HOSTS', 'HOME', 'MINE'].flatMap(
      doubled,
    );
    const world = new World(withTemplate({ spec: { containers: [{ name: 'worker', env }] } }));
    // So that nothing of ours stands there when the template's comes.
    const none = { spec: { containers: [{ name: 'worker', env: null }] } };
    world.settings = { ...settings, templates: [none], httpsHosts: ['only.example'] };
    const { template } = world.run().job('probe').spec as { template: { spec: { containers: Json[] } } };
    const made = template.spec.containers[0]!['env'] as { name: string; value: string }[];
    expect(new Set(made.map(({ name }) => name)).size).toBe(made.length);
    const valueIn = Object.fromEntries(made.map(({ name, value }) => [name, value]));
    expect(valueIn).toMatchObject({
      ORT_DISABLE_TELEMETRY: '1',
      OFFSITE_HTTPS_HOSTS: 'only.example',
      HOME: '/tmp',
      MINE: 'b',
    });
    expect(valueIn['OFFSITE_JOB']).toContain('"stage":"probe"');
  });
});

it('what looks like a variable in an address is handed to the pod as it is written', () => {
  const object = resource('EmulatorBuild', { spec: { output: { uri: 'pvc://artifacts/$(X)-$$' } } });
  const job = new World(object).run().job('probe');
  const { template } = job.spec as { template: { spec: { containers: Json[] } } };
  const env = template.spec.containers[0]!['env'] as { name: string; value: string }[];
  const told = env.find(({ name }) => name === 'OFFSITE_JOB')!.value;
  // The kubelet makes one of two, and expands none of these.
  expect(told).toContain('pvc://artifacts/$$(X)-$$$$');
  expect(told).not.toMatch(/(^|[^$])\$(\$\$)*\(/);
  expect(writesOf(job)).toBe('pvc://artifacts/$(X)-$$');
});

describe('long words take no time', () => {
  const quantity = (cpu: string) =>
    problemsOf({ spec: { containers: [{ name: 'worker', resources: { requests: { cpu } } }] } });

  it('as quantities', () => {
    const taken = timeOf(() =>
      expect(quantity(`${'1'.repeat(100_000)}x`)).toEqual([
        'spec.template.spec.containers[0].resources.requests.cpu: must be a quantity, such as "4Gi" or "500m"',
      ]),
    );
    expect(taken).toBeLessThan(1000);
    for (const right of [
      '1',
      '0.5',
      '.5',
      '1.',
      '+1',
      '500m',
      '4Gi',
      '4G',
      '1e3',
      '1E-3',
      '2E',
      '100n',
      '5u',
      '1Ei',
    ])
      expect(quantity(right)).toEqual([]);
    for (const wrong of ['', '.', '1.2.3', '4GiB', '1ee3', '1 Gi', 'Gi', '1i', '1'.repeat(65)])
      expect(quantity(wrong)).toHaveLength(1);
  });

  it.each(['[', ']', '.', '[a]', 'a'])(
    'as names of fields that an answer of the API server quotes: %s',
    (text) => {
      const name = text.repeat(100_000);
      const object = withTemplate({ spec: { [name]: 1 } });
      const field = `spec.template.spec.${name}`;
      const strict = new ApiError(`x: strict decoding error: unknown field "${field}"`, {
        status: 400,
        reason: 'BadRequest',
      });
      const invalid = new ApiError('', {
        status: 422,
        reason: 'Invalid',
        details: { causes: [{ field, message: 'x' }] },
      });
      const taken = timeOf(() => {
        for (const error of [strict, invalid]) expect(isOwnTemplatesFault(error, object, object)).toBe(false);
      });
      expect(taken).toBeLessThan(1000);
    },
  );

  it('nor many entries of a list, nor a word that is near none', () => {
    const env = Array.from({ length: 60_000 }, (_, i) => ({ name: `a${i}` }));
    const container = { containers: [{ name: 'worker', env }] };
    expect(timeOf(() => merge(merge({}, container), container))).toBeLessThan(1500);
    const word = 'emulator'.repeat(100_000);
    expect(timeOf(() => expect(nearestOf(word, ['emulator', 'adapter'])).toBeUndefined())).toBeLessThan(100);
  });
});
