import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isTerminal } from '../../../../operator/jobs/objects.ts';
import type { Kind } from '../../../../src/api/index.ts';
import {
  artifact,
  completed,
  ended,
  failedWith,
  pod,
  resource,
  World,
} from '../../../support/unit/operator/fixtures.ts';

const lastStage = (world: World) => (world.object.kind === 'EmulatorBuild' ? 'assemble' : 'tune');

/** The Job that is at work, if one is. */
const atWork = (world: World) =>
  world.jobs.find(({ metadata, status }) => !metadata.deletionTimestamp && !status?.conditions?.length);
const stageOf = (job: { metadata: { labels?: Record<string, string> } }) =>
  job.metadata.labels?.['offsite-tuning.dev/stage'] ?? '';

/** What a cluster and its users do to a resource, in any order. */
const happenings: Record<string, (world: World) => void> = {
  suspend: (world) => void world.edit({ suspend: true }),
  resume: (world) => void world.edit({ suspend: false }),
  anotherResult: (world) => void world.edit({ engine: { threads: 1 + (world.now.getTime() % 3) } }),
  anotherTemplate: (world) => void world.edit({ backoffLimit: world.now.getTime() % 5 }),
  wrongSpec: (world) => void world.edit({ output: { uri: 'file:x' } }),
  rightSpec: (world) => void world.edit({ output: { uri: 'pvc://artifacts/out' } }),
  podStarts: (world) => {
    const job = atWork(world);
    if (job && world.pods.every(isTerminal)) {
      world.pods = [...world.pods, pod(job, { name: `pod-${world.pods.length}` })];
    }
  },
  podFails: (world) => {
    const end = failedWith(1, 'x', 'NoSpace', 'full');
    world.pods = world.pods.map((own) => (isTerminal(own) ? own : ended(own, end)));
  },
  stageEnds: (world) => {
    const job = atWork(world);
    if (job) finish(world, stageOf(job));
  },
  jobFails: (world) => {
    const job = atWork(world);
    if (job) world.jobIs(stageOf(job), 'Failed', { reason: 'BackoffLimitExceeded' });
    world.pods = world.pods.map((own) => (isTerminal(own) ? own : ended(own, { exitCode: 1 })));
  },
  jobIsRemoved: (world) => {
    world.jobs = world.jobs.slice(1);
  },
  podsEnd: (world) => {
    world.pods = world.pods.filter(({ metadata }) =>
      world.jobs.some((job) => job.metadata.uid === metadata.ownerReferences?.[0]?.uid),
    );
  },
  garbageIsCollected: (world) => void world.collect(),
  emulatorIsMadeAnew: (world) => {
    const character = String(world.now.getTime() % 10);
    world.dependencies = { emulator: completed('EmulatorBuild', character) };
  },
  emulatorGoes: (world) => {
    world.dependencies = { emulator: undefined };
  },
  natsGoes: (world) => {
    world.connected = false;
  },
  natsComes: (world) => {
    world.connected = true;
  },
  timePasses: (world) => void world.wait(12_345),
};

function finish(world: World, stage: string): void {
  const job = world.jobs.find((other) => stageOf(other) === stage && !other.metadata.deletionTimestamp);
  if (!job) return;
  world.done(stage, stage === lastStage(world) ? 'a' : undefined);
  world.results = { [lastStage(world)]: { artifact: artifact('a', world.output) } };
}

/** Never two attempts with pods alive, never a Job made beside one. */
function expectOneAttempt(world: World, before: number): void {
  const made = world.writes.slice(before).filter((write) => write.startsWith('create'));
  const alive = new Set(
    world.pods
      .filter((own) => !isTerminal(own))
      .map(({ metadata }) => metadata.labels?.['offsite-tuning.dev/attempt']),
  );
  for (const write of made) {
    for (const attempt of alive)
      expect(write, 'made while pods of another attempt live').toMatch(new RegExp(`-${attempt}$`));
  }
}

it.each(['EmulatorBuild', 'OffsiteTune'] as const)(
  '%s: after any storm, with the operator killed at any time, it ends Complete, and attempts never overlap',
  (kind: Kind) => {
    const names = Object.keys(happenings);
    const storms = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat({ max: 3 })), {
      maxLength: 40,
      size: 'max',
    });
    fc.assert(
      fc.property(storms, (storm) => {
        const world = new World(resource(kind));
        world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
        let attempt = 0;
        for (const [name, lived] of storm) {
          happenings[name]?.(world.wait(1));
          const before = world.writes.length;
          // Killed after a few writes; what comes next finds things as they are.
          world.run(before + lived);
          expectOneAttempt(world, before);
          expect(world.status.attempt ?? 0).toBeGreaterThanOrEqual(attempt);
          attempt = world.status.attempt ?? 0;
        }
        world.connected = true;
        world.dependencies = { emulator: completed('EmulatorBuild', 'f') };
        world.edit({ suspend: false, output: { uri: 'pvc://artifacts/end' } });
        for (let round = 0; round < 12 && world.run().status.phase !== 'Complete'; round++) {
          happenings['podsEnd']?.(world.collect());
          world.run();
          happenings['podStarts']?.(world);
          happenings['stageEnds']?.(world.run());
        }
        expect(world.status.phase).toBe('Complete');
        expect(world.status['artifact']).toEqual(artifact('a', world.output));
        expect(
          world.jobs.filter(
            ({ metadata, status }) => !metadata.deletionTimestamp && !status?.conditions?.length,
          ),
        ).toEqual([]);
        expect(world.decide().status).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  },
);
