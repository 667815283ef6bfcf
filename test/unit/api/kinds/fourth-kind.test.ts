/**
 * A made-up fourth kind takes its own file (here the declaration), its compute, a section of the report where it wants one, and
 * nothing else. Whatever speaks of kinds speaks of it: definitions, reference, rights, parser, operator, pods, CLI, report.
 */
import { globSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openCaches, referenceKey } from '../../../../operator/jobs/index.ts';
import { referredBy } from '../../../../operator/jobs/observe/caches.ts';
import { rulesFor } from '../../../../operator/kinds.ts';
import { routesOfResource } from '../../../../operator/routes.ts';
import { RuntimeMetrics } from '../../../../operator/runtime/index.ts';
import { chartFiles } from '../../../../scripts/chart/index.ts';
import { reference } from '../../../../scripts/reference.ts';
import {
  crds,
  handedOn,
  hashOfSpec,
  heardIn,
  type Kind,
  kinds,
  parseResource,
  type StageName,
  variables,
} from '../../../../src/api/index.ts';
import { Engine, jobFields } from '../../../../src/api/job.ts';
import { declare } from '../../../../src/api/kinds/declare.ts';
import { artifact, rows, type Unchecked } from '../../../../src/api/kinds/inputs.ts';
import { artifactFrom, DataSource, Output } from '../../../../src/api/sources.ts';
import { common, figure } from '../../../../src/api/status.ts';
import { inOrder, type LoadedResource } from '../../../../src/cli/manifests.ts';
import { related } from '../../../../src/report/cluster.ts';
import { gather } from '../../../../src/report/gather.ts';
import { artifactOf, checkPlaces, inputsOf, outputOf, pathOf } from '../../../../src/worker/places.ts';
import { podWork } from '../../../../src/worker/pod/pod-job.ts';
import { completed, digestOf, ended, World } from '../../../support/unit/operator/fixtures.ts';

const references = ({ teacher, start }: Unchecked) => [
  artifact({ role: 'teacher', field: 'spec.teacher', kind: 'EmulatorBuild' }, teacher),
  ...(start === undefined ? [] : [artifact({ role: 'start', field: 'spec.start', kind: 'Distil' }, start)]),
];

const distil = declare({
  kind: 'Distil',
  names: { plural: 'distils', singular: 'distil', short: 'di' },
  description: 'Makes a smaller emulator learn from a larger one.',
  party: 'modelOwner',
  columns: [],
  spec: z.strictObject({
    teacher: artifactFrom('EmulatorBuild').describe('What is learnt from.'),
    start: artifactFrom('Distil').optional().describe('What is gone on from.'),
    data: DataSource.describe('What is read to learn.'),
    output: Output.describe('Where the student goes.'),
    saveSteps: z.int().min(1).default(10).describe('Steps between two checkpoints.'),
    engine: Engine,
    ...jobFields,
  }),
  status: z.object({ ...common, divergence: figure.optional() }),
  withoutResult: ['saveSteps'],
  stages: [{ name: 'sort', prepares: true, shards: () => 2 }, { name: 'distil' }],
  unkept: 'a pod that dies begins anew',
  references,
  reads: (_, spec) => [...references(spec), rows('lessons', 'spec.data', spec.data)],
  results: { fields: ['divergence'], always: ['divergence'], shown: () => [] },
  example: 'kind: Distil',
});

const all = kinds as unknown as Record<string, unknown>;
beforeAll(() => {
  all['Distil'] = distil;
});
afterAll(() => {
  delete all['Distil'];
});

const kind = 'Distil' as Kind;

function stored(spec: object = {}, name = 'small') {
  return {
    apiVersion: 'offsite-tuning.dev/v1alpha1',
    kind,
    metadata: { name, namespace: 'team', uid: `uid-${name}`, generation: 1 },
    spec: {
      teacher: { ref: { name: 'words' } },
      data: { uri: 'pvc://data/lessons.jsonl', format: 'text' },
      output: { uri: `pvc://artifacts/${name}` },
      ...spec,
    },
  };
}

const root = new URL('../../../../', import.meta.url);

it.each([
  [
    'kinds stand by name in their declarations, in what only the operator knows of them, and in the report',
    /'(EmulatorBuild|OffsiteTune|PlugIn)'|\b(EmulatorBuild|OffsiteTune|PlugIn): /,
    ['operator/kinds.ts', 'src/api/kinds/', 'src/report/gather.ts'],
  ],
  [
    'stages stand by name in their declarations, and where they compute',
    /'(probe|assemble|tune|plug)'/,
    ['src/api/kinds/', 'src/emulator/', 'src/tuning/', 'src/plugin/', 'src/worker/thread/stages.ts'],
  ],
])('%s, and nowhere else', (_, named, places) => {
  const files = globSync('{src,operator}/**/*.ts', { cwd: root }).filter((file) =>
    named.test(readFileSync(new URL(file, root), 'utf8')),
  );
  expect(files.filter((file) => !places.some((place) => file.startsWith(place)))).toEqual([]);
});

it('has a definition, a chapter of the reference, and rights in the chart', () => {
  const definitions = crds();
  expect(definitions.map(({ metadata }) => metadata.name)).toContain('distils.offsite-tuning.dev');
  expect(reference(definitions)).toContain('## Distil\n\nMakes a smaller emulator learn from a larger one.');
  const rights = chartFiles(
    definitions,
    readFileSync(new URL('charts/offsite-tuning/README.md', root), 'utf8'),
  ).find(([file]) => file.endsWith('files/kinds.json'));
  expect(JSON.parse(rights![1])).toMatchObject({
    statuses: expect.arrayContaining(['distils/status']),
    modelOwner: ['emulatorbuilds', 'plugins', 'distils'],
  });
});

it('is parsed with its defaults and its faults, and hashed without what changes no result', () => {
  expect(parseResource(stored(), 'a.yaml')).toMatchObject({ kind, spec: { saveSteps: 10 } });
  expect(() => parseResource(stored({ teacher: {} }), 'a.yaml')).toThrow(
    'a.yaml: Distil small: spec.teacher: must have either ref',
  );
  const hash = (spec: object) => hashOfSpec(kind, 'u', stored(spec).spec);
  expect(hash({ saveSteps: 3 })).toBe(hash({}));
  expect(hash({ data: { uri: 'pvc://data/other', format: 'text' } })).not.toBe(hash({}));
});

describe('in the operator', () => {
  const taught = { teacher: completed('EmulatorBuild', 'e') };

  it('has caches, and is looked at again when what it refers to changes', () => {
    const caches = openCaches({} as never, [], new RuntimeMetrics());
    expect(Object.keys(caches.resources)).toContain(kind);
    const [reference] = referredBy(stored());
    expect(reference).toBe(referenceKey('EmulatorBuild', 'team', 'words'));
    const other = { byIndex: () => [], list: () => [] };
    const known = {
      resources: {
        ...{ EmulatorBuild: other, OffsiteTune: other, PlugIn: other },
        [kind]: { ...other, byIndex: (_: string, value: string) => (value === reference ? [stored()] : []) },
      },
      jobs: { get: () => undefined },
    };
    expect(routesOfResource(completed('EmulatorBuild', 'e'), known as never)).toContainEqual({
      kind,
      key: 'team/small',
    });
  });

  it('waits for what it refers to, runs its stages one after the other, and is Complete with its result', () => {
    const world = new World(stored());
    expect(world.run().holding).toEqual(['Waiting/DependencyMissing']);
    world.dependencies = taught;
    world.run();
    expect(world.jobs.map(({ metadata, spec }) => [metadata.name.split('-')[1], spec?.completions])).toEqual([
      ['sort', 2],
    ]);
    world.podIs('sort' as StageName, (own) => ended(own, { exitCode: 0, message: { ok: true } }));
    world.jobIs('sort' as StageName, 'Complete').run();
    const made = { uri: 'pvc://artifacts/small', digest: digestOf('a'), sizeBytes: 1 };
    const message = { ok: true, artifact: made, summary: { divergence: '0.1' } };
    world.podIs('distil' as StageName, (own) => ended(own, { exitCode: 0, message }));
    world.jobIs('distil' as StageName, 'Complete').run();
    expect(world.status).toMatchObject({
      phase: 'Complete',
      artifact: made,
      divergence: '0.1',
      inputs: { teacher: { digest: digestOf('e') } },
    });
  });

  it('asks for as much as is usual, and prepares nothing where nothing outlives a pod', () => {
    const rules = rulesFor(kind);
    const parsed = parseResource(stored({ output: { uri: 's3://b/small' } }), 'test');
    expect(rules.begins(parsed)).toBe('distil');
    expect(rules.begins(parseResource(stored(), 'test'))).toBe('sort');
    expect(rules.work(parsed, 'distil' as StageName, {}, undefined).fillsMemory).toBe(false);
  });

  it('tells its pods what they are to read, and they find it by its roles', () => {
    const world = new World(stored());
    world.dependencies = taught;
    world.run();
    const [{ env }] = (world.jobs[0] as unknown as Built).spec.template.spec.containers;
    const environment = Object.fromEntries(env.map(({ name, value }) => [name, handedOn(value)]));
    const claims = { artifacts: '/c/artifacts', data: '/c/data' };
    const settings = { ...heardIn({ ...environment, [variables.shard]: '1' }), claims } as never;
    const { job } = podWork(settings);
    expect(job).toMatchObject({ stage: 'sort', shard: { index: 1, count: 2 } });
    expect(artifactOf(job, 'teacher')).toEqual({
      directory: '/c/artifacts/words-emulator',
      digest: digestOf('e'),
    });
    expect(pathOf(job, 'lessons')).toBe('/c/data/lessons.jsonl');
    expect(outputOf(job)).toBe('/c/artifacts/small');
    expect(inputsOf(job).map(({ field }) => field)).toEqual(['spec.teacher', 'spec.data.uri']);
    const inside = {
      ...job,
      resource: {
        ...job.resource,
        spec: { ...job.resource.spec, output: { uri: 'pvc://data/lessons.jsonl/x' } },
      },
    };
    expect(() => checkPlaces(inside as never)).toThrow('spec.output.uri: must lie outside of spec.data.uri');
  });
});

interface Built {
  spec: { template: { spec: { containers: [{ env: { name: string; value: string }[] }] } } };
}

describe('on one machine', () => {
  const loaded = (...values: object[]): LoadedResource[] =>
    values.map((value, i) => ({ resource: parseResource(value, 'test'), file: `${i}.yaml`, base: '/' }));
  const build = { ...completed('EmulatorBuild', 'e') };
  const names = (order: readonly LoadedResource[]) =>
    order.map(({ resource }) => `${resource.kind} ${resource.metadata.name}`);

  it('runs after what it refers to, one of its own kind too, in whatever order they stand', () => {
    const later = stored({ start: { ref: { name: 'small' } } }, 'later');
    expect(names(inOrder(loaded(later, stored(), build)))).toEqual([
      'EmulatorBuild words',
      'Distil small',
      'Distil later',
    ]);
  });

  it('is refused where it waits for itself', () => {
    const [a, b] = [
      stored({ start: { ref: { name: 'b' } } }, 'a'),
      stored({ start: { ref: { name: 'a' } } }, 'b'),
    ];
    expect(() => inOrder(loaded(a, b, build))).toThrow(
      '0.yaml: Distil a: waits for itself, over what it refers to; no order makes it\n1.yaml: Distil b: waits',
    );
  });

  it('is found for a report with what it was made from; without a section it is passed over', () => {
    const found = [build, stored()] as never[];
    expect(related(found, 'small')).toEqual(found);
    const record = gather('here', [{ value: stored(), where: 'a', mounts: { claims: {}, base: '/' } }]);
    expect(record).toMatchObject({ builds: [], tunes: [], plugIns: [], unreadable: [] });
  });
});
