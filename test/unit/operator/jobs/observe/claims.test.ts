import { expect, it } from 'vitest';
import type { ResourceType } from '../../../../../operator/runtime/index.ts';
import { ended, failedWith, resource, World } from '../../../../support/unit/operator/fixtures.ts';
import { observeWorld } from '../../../../support/unit/operator/observing.ts';

const shared = () =>
  new World(
    resource('EmulatorBuild', {
      spec: { probe: { data: { uri: 'pvc://data/p', format: 'text' }, shards: 2 } },
    }),
  );

/** The claims that the operator asks for when it looks at the resource now. */
async function asked(world: World): Promise<string[]> {
  const names: string[] = [];
  const get = async ({ kind }: ResourceType, _: string, name: string) => {
    names.push(name);
    return { kind, metadata: { name } };
  };
  const situation = await observeWorld(world, { client: { get } });
  expect([...(situation?.observed.claims.keys() ?? [])]).toEqual(names);
  return names;
}

const all = ['artifacts', 'data', 'models'];

it('claims that pods are to share are read before an attempt begins, also where Jobs of an earlier one are left', async () => {
  const world = shared();
  expect(await asked(world)).toEqual(all);
  world.run();
  expect(await asked(world)).toEqual([]);
  world.podIs('probe', (pod) => ended(pod, failedWith(11, 'probe', 'BadData', 'row 3 is no text')));
  world.jobIs('probe', 'Failed', { reason: 'PodFailurePolicy' }).run();
  expect(await asked(world)).toEqual([]);
  // Of the next attempt, only the decision is written so far.
  world.edit({ layers: 12 }).run(world.writes.length + 1);
  expect(world.status.attempt).toBe(2);
  expect(world.jobs).toHaveLength(1);
  expect(await asked(world)).toEqual(all);
});

it('what is Complete asks for none, also when its Jobs are gone', async () => {
  const world = shared().run().done('probe').run().done('assemble', 'a');
  world.connected = undefined;
  world.run().jobs = [];
  expect(world.status.phase).toBe('Complete');
  expect(await asked(world)).toEqual([]);
});
