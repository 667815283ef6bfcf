import { expect, it } from 'vitest';
import type { Kind } from '../../../../src/api/index.ts';
import { artifact, completed, resource, World } from '../../../support/unit/operator/fixtures.ts';

/** What happens around the operator in a run with everything in it: suspended, resumed, changed, its Job removed. */
const story: ((world: World) => World)[] = [
  (world) => world,
  (world) => world.start(world.object.kind === 'EmulatorBuild' ? 'probe' : 'tune'),
  (world) => world.edit({ suspend: true }),
  (world) => world.collect(),
  (world) => world.edit({ suspend: false }),
  (world) =>
    world.object.kind === 'EmulatorBuild' ? world.start('probe').done('probe') : world.start('tune'),
  (world) => world.edit({ backoffLimit: 3 }),
  (world) => world.collect(),
  (world) => (world.object.kind === 'EmulatorBuild' ? world.start('probe').done('probe') : world),
  (world) => world.start(last(world)).done(last(world), 'a'),
  (world) => {
    world.results = { [last(world)]: { artifact: artifact('a', world.output) } };
    return world;
  },
];
const last = (world: World) => (world.object.kind === 'EmulatorBuild' ? 'assemble' : 'tune');

function told(kind: Kind): World {
  const world = new World(resource(kind));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world;
}

/** The end of a story in which the operator is killed after its n-th write, and started again. */
function endOf(kind: Kind, killedAfter: number) {
  const world = told(kind);
  for (const chapter of story) {
    chapter(world);
    // Killed: the rest of the decision is lost. The next process looks afresh.
    world.run(killedAfter).run();
  }
  const { status, jobs, writes } = world;
  const names = jobs
    .filter(({ metadata }) => !metadata.deletionTimestamp)
    .map(({ metadata }) => metadata.name);
  return {
    status,
    names,
    created: writes.filter((write) => write.startsWith('create')),
    writes: writes.length,
  };
}

it.each(['EmulatorBuild', 'OffsiteTune'] as const)(
  '%s: killed after any single write, the end and every Job are the same',
  (kind) => {
    const undisturbed = endOf(kind, Number.POSITIVE_INFINITY);
    expect(undisturbed.status.phase).toBe('Complete');
    expect(undisturbed.writes).toBeGreaterThan(12);
    for (let n = 0; n <= undisturbed.writes; n++)
      expect({ n, ...endOf(kind, n) }).toEqual({ n, ...undisturbed });
  },
);
