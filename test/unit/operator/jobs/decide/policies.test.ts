/** Each policy in a situation that is its own; what it says then, the other files of this folder try in all detail. */
import { describe, expect, it, vi } from 'vitest';
import { type PolicyName, policies } from '../../../../../operator/jobs/decide/policies.ts';
import { kinds } from '../../../../../src/api/index.ts';
import {
  completed,
  condition,
  digestOf,
  ended,
  failedWith,
  resource,
  World,
} from '../../../../support/unit/operator/fixtures.ts';
import { observeWorld } from '../../../../support/unit/operator/observing.ts';

/** An OffsiteTune whose emulator is there. */
function tune(changes: Parameters<typeof resource>[1] = {}): World {
  const world = new World(resource('OffsiteTune', changes));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world;
}

const underWay = () => tune().run().start('tune');
const result = { artifact: { uri: 'pvc://artifacts/words-adapter', digest: digestOf('a'), sizeBytes: 7 } };

function finished(results: object): World {
  const world = underWay().done('tune', 'a');
  Object.assign(world.results, { tune: results });
  return world;
}

/** Each with as long an address as there may be. */
const longAdapters = {
  adapter: undefined,
  adapters: Array.from({ length: 64 }, (_, i) => ({
    uri: `s3://exchange/${'x'.repeat(1000)}/${i}`,
    digest: `sha256:${String(i).padStart(64, '0')}`,
  })),
  aggregation: { method: 'mean' },
  emulator: { uri: 'pvc://artifacts/words-emulator', digest: digestOf('e') },
};

const situations: Readonly<Record<PolicyName, () => World>> = {
  complete: () => finished({ ...result, training: { steps: 1 } }).run(),
  wrongSpec: () => tune({ spec: { training: { steps: -1 } } }),
  failed: () =>
    underWay()
      .podIs('tune', (own) => ended(own, failedWith(11, 'tune', 'BadData', 'row 3 is empty')))
      .jobIs('tune', 'Failed')
      .run(),
  workMoved: () =>
    tune({
      spec: { privacy: { epsilon: '8' }, work: { uri: 'pvc://other/work' } },
      status: { keptIn: 'pvc://artifacts/.offsite-work' },
    }),
  notBegun: () => tune({ annotations: { 'offsite-tuning.dev/model-size': 'large' } }),
  suspended: () => tune({ spec: { suspend: true } }),
  restarted: () => underWay().edit({ training: { steps: 7 } }),
  leftovers: () => {
    const world = underWay().edit({ training: { steps: 7 } });
    return world.run();
  },
  dependencies: () => new World(resource('OffsiteTune')),
  notAllowed: () => {
    const world = new World(
      resource('EmulatorBuild', { spec: { template: { spec: { hostNetwork: true } } } }),
    );
    world.settings = { ...world.settings, allowInTemplates: ['hostNamespaces'] };
    world.run().start('probe').done('probe');
    world.settings = { ...world.settings, allowInTemplates: [] };
    return world;
  },
  otherWriters: () => {
    const world = tune();
    const [job] = tune({ name: 'other' }).run().jobs;
    world.others = [job!];
    return world;
  },
  sharedClaims: () => {
    const world = new World(
      resource('EmulatorBuild', {
        spec: { probe: { data: { uri: 'pvc://data/probe.jsonl', format: 'text' }, shards: 2 } },
      }),
    );
    world.claims = new Map([['data', undefined]]);
    return world;
  },
  jobTooLarge: () => new World(resource('PlugIn', { spec: longAdapters })),
  jobRefused: () => {
    const world = tune();
    world.refusal = { message: 'no', final: true, generation: 1, tryAgainAt: 0 };
    return world;
  },
  stageBegun: () => tune(),
  stageActive: underWay,
  stageFailed: () =>
    underWay()
      .podIs('tune', (own) => ended(own, failedWith(11, 'tune', 'BadData', 'row 3 is empty')))
      .jobIs('tune', 'Failed'),
  resultTaken: () => finished({ ...result, training: { steps: 1 } }),
  resultAwaited: () => underWay().done('tune', 'a'),
  resultLost: () => underWay().done('tune').wait(600_000),
};

describe('a situation in which a policy decides', () => {
  it.each(policies)('%s', (name) => expect(situations[name]().decide().by).toBe(name));
});

describe('the order of policies', () => {
  it.each<[PolicyName, PolicyName, () => World]>([
    ['complete', 'wrongSpec', () => situations.complete().edit({ ttlSecondsAfterFinished: -1 })],
    ['wrongSpec', 'suspended', () => tune({ spec: { suspend: true, training: { steps: -1 } } })],
    ['workMoved', 'suspended', () => situations.workMoved().edit({ suspend: true })],
    ['failed', 'suspended', () => failedAt(tune({ spec: { suspend: true } }))],
    ['suspended', 'dependencies', () => new World(resource('OffsiteTune', { spec: { suspend: true } }))],
    ['restarted', 'stageFailed', () => situations.stageFailed().edit({ training: { steps: 7 } })],
    ['dependencies', 'otherWriters', () => Object.assign(situations.otherWriters(), { dependencies: {} })],
  ])('%s comes before %s', (first, _, world) => expect(world().decide().by).toBe(first));
});

it('asks nobody about what is being deleted', () => {
  expect(tune({ deleted: true }).decide()).toEqual({ remove: [], create: [], events: [] });
});

it('reads the spec once in a reconcile, whatever is decided', async () => {
  const read = vi.spyOn(kinds.OffsiteTune.schema, 'safeParse');
  try {
    for (const name of policies) {
      const world = situations[name]();
      if (world.object.kind !== 'OffsiteTune') continue;
      read.mockClear();
      const situation = await observeWorld(world, {});
      expect([name, read.mock.calls.length]).toEqual([name, 1]);
      world.decideOn(situation!);
      expect([name, read.mock.calls.length]).toEqual([name, 1]);
    }
  } finally {
    read.mockRestore();
  }
});

function failedAt(world: World): World {
  const conditions = [condition('Failed', 'BadData', 'row 3 is empty')];
  Object.assign(world.object, { status: { phase: 'Failed', stage: 'tune', attempt: 1, conditions } });
  return world;
}
