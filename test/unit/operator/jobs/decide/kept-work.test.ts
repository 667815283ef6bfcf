/** Of what only one may be made, the work place remembers that it was: no spec puts it where nothing is known of it. */
import { expect, it } from 'vitest';
import type { Pod } from '../../../../../operator/jobs/objects.ts';
import { kinds, type OffsiteTuneStatus } from '../../../../../src/api/index.ts';
import {
  completed,
  digestOf,
  ended,
  resource,
  World,
  waitingFor,
} from '../../../../support/unit/operator/fixtures.ts';

const privacy = { epsilon: '8', delta: '1e-5', clipNorm: '1.0' };

/** An OffsiteTune whose output is on claim `artifacts`. */
function tune(spec: object): World {
  const world = new World(resource('OffsiteTune', { spec }));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world;
}

/** The same, which is done. */
const done = (spec: object): World => end(tune(spec));

/** The present attempt goes to its end. */
function end(world: World, character = 'a'): World {
  world.run().start('tune').done('tune', character);
  const artifact = { uri: world.output, digest: digestOf(character), sizeBytes: 7 };
  world.results = { tune: { artifact, training: { steps: 120 } } };
  return world.run();
}

const statusOf = (world: World) => world.object['status'] as OffsiteTuneStatus;
const failure = (world: World) =>
  statusOf(world).conditions?.find(({ type, status }) => type === 'Failed' && status === 'True');
/** What is left of earlier attempts ends. */
const after = (world: World) => world.run().collect().run();

const elsewhere = { output: { uri: 'pvc://larger/words-adapter' } };

it('whose output goes to another claim, and its work place with it, gets no Job: by the condition it names the earlier one', () => {
  const world = done({ privacy });
  expect(statusOf(world)).toMatchObject({ phase: 'Complete', keptIn: 'pvc://artifacts/.offsite-work' });
  after(world.edit(elsewhere));
  expect(world.jobs.filter(({ metadata }) => metadata.name.includes('-2'))).toEqual([]);
  expect(statusOf(world)).toMatchObject({ phase: 'Failed', attempt: 1 });
  const { reason, message } = failure(world)!;
  expect(reason).toBe('BadSpec');
  expect(message).toMatch(
    `spec.work.uri: must name pvc://artifacts/.offsite-work, where this resource remembers which adapters it has made or begun under spec.privacy (the last at pvc://artifacts/words-adapter, ${digestOf('a')}); it is pvc://larger/.offsite-work now, by spec.output.uri where spec.work is absent`,
  );
  expect(message).toContain('make another resource under another name');
  // That place is named: it goes on, and is done there.
  after(world.edit({ work: { uri: 'pvc://artifacts/.offsite-work/' } }));
  expect(failure(world)).toBeUndefined();
  end(world, 'b');
  expect(statusOf(world)).toMatchObject({ phase: 'Complete', artifact: { digest: digestOf('b') } });
  expect(kinds.OffsiteTune.status.safeParse(statusOf(world)).error).toBeUndefined();
});

it('is remembered whatever the resource makes or begins between the two', () => {
  const world = done({ privacy });
  after(world.edit({ privacy: undefined, training: { steps: 7 } }));
  end(world, 'b');
  after(world.edit({ training: { steps: 8 }, privacy }));
  expect(statusOf(world)).toMatchObject({ keptIn: 'pvc://artifacts/.offsite-work' });
  expect(statusOf(world).artifact).toBeUndefined();
  after(world.edit({ ...elsewhere, training: { steps: 120 } }));
  expect(failure(world)?.message).toContain('must name pvc://artifacts/.offsite-work, where');
});

it('another work place on the same claim, or in a store, knows nothing either', () => {
  for (const uri of ['pvc://artifacts/work', 's3://work/offsite']) {
    const world = done({ privacy });
    after(world.edit({ work: { uri }, training: { steps: 7 } }));
    expect(failure(world)?.message).toContain(`it is ${uri} now,`);
  }
  const world = done({ privacy, work: { uri: 's3://work/offsite' } });
  after(world.edit({ work: undefined, training: { steps: 7 } }));
  expect(failure(world)?.message).toContain('must name s3://work/offsite, where');
});

it.each<[string, object, object]>([
  ['no rows are hidden', {}, elsewhere],
  ['none were', {}, { ...elsewhere, privacy }],
  ['none are any more', { privacy }, { ...elsewhere, privacy: undefined }],
  ['the work place stays', { privacy }, { output: { uri: 'pvc://artifacts/elsewhere/words-adapter' } }],
  ['it was named, and stays', { privacy, work: { uri: 'pvc://work/offsite' } }, elsewhere],
])('an output goes elsewhere where %s', (_, before, change) => {
  const world = done(before);
  after(world.edit(change));
  expect(failure(world)).toBeUndefined();
  expect(statusOf(world)).toMatchObject({ phase: 'Pending', attempt: 2 });
});

it('what an earlier operator saw to its end is remembered, and what is done stays done wherever its work would go', () => {
  const world = done({ privacy });
  const { keptIn: _, ...status } = statusOf(world);
  world.object = { ...world.object, status };
  world.run();
  expect(statusOf(world)).toMatchObject({ keptIn: 'pvc://artifacts/.offsite-work' });
  world.edit({ work: { uri: 'pvc://other/work' } }).run();
  expect(statusOf(world)).toMatchObject({ phase: 'Complete', keptIn: 'pvc://artifacts/.offsite-work' });
});

it('what an earlier operator saw to its end is remembered by its address where the spec is another by then', () => {
  const world = done({ privacy });
  const { keptIn: _, ...status } = statusOf(world);
  const training = { steps: 120, privacy: { epsilon: '8' } };
  world.object = { ...world.object, status: { ...status, training } };
  world.pods = [];
  after(world.edit(elsewhere));
  expect(failure(world)?.message).toContain('must name pvc://artifacts/.offsite-work, where');
});

const kept = 'pvc://artifacts/.offsite-work';

it.each<[string, (world: World) => World]>([
  ['it is suspended', (world) => world.edit({ suspend: true }).run().collect().edit({ suspend: undefined })],
  [
    'its time is over',
    (world) => {
      world.jobIs('tune', 'Failed', { reason: 'DeadlineExceeded' }).run();
      world.pods = [];
      return world;
    },
  ],
  [
    'its worker failed and another is to try',
    (world) => world.podIs('tune', (pod) => ended(pod, { exitCode: 1 })).run(),
  ],
  ['it goes on', (world) => world],
])('is said as soon as its worker is seen at work, whatever becomes of it: %s', (_, becomes) => {
  const world = tune({ privacy }).run().start('tune').run();
  expect(statusOf(world)).toMatchObject({ phase: 'Running', keptIn: kept });
  after(becomes(world).edit(elsewhere));
  expect(failure(world)?.message).toContain(`spec.work.uri: must name ${kept}, where`);
  after(world.edit({ work: { uri: kept } }));
  expect(failure(world)).toBeUndefined();
});

it('that pod says where, and not the spec, which may be another by the time at which it is seen', () => {
  const world = tune({ privacy }).run().start('tune').edit(elsewhere);
  after(world);
  expect(world.writes.filter((write) => write.startsWith('create'))).toHaveLength(1);
  expect(statusOf(world)).toMatchObject({ keptIn: kept });
  expect(failure(world)?.message).toContain(`must name ${kept}, where`);
  // Its Job may be gone by then, and it may have ended.
  const late = tune({ privacy }).run().start('tune');
  late.podIs('tune', (pod) => ended(pod, { exitCode: 143 }));
  late.jobs = [];
  after(late.edit(elsewhere));
  expect(failure(late)?.message).toContain(`must name ${kept}, where`);
});

/** A pod of which the kubelet finds no container. */
function lost(pod: Pod, known: object): Pod {
  const gone = ended(pod, { exitCode: 137, reason: 'ContainerStatusUnknown' });
  const [status] = gone.status!.containerStatuses!;
  return { ...gone, status: { ...gone.status, containerStatuses: [{ ...status!, ...known }] } };
}

it.each<[string, Parameters<World['podIs']>[1]]>([
  ['waits for a claim that is not there', (pod) => waitingFor(pod, 'ContainerCreating')],
  ['could not be started', (pod) => ended(pod, { exitCode: 128, reason: 'StartError' })],
  // As the kubelet says of a pod that goes while it waits.
  ['never was', (pod) => lost(pod, { restartCount: 0 })],
])('where its worker %s nothing was begun, and its place may be another', (_, change) => {
  const world = tune({ privacy }).run().podIs('tune', change).run();
  expect(statusOf(world).keptIn).toBeUndefined();
  world.edit(elsewhere).run().collect();
  world.pods = [];
  expect(failure(world.run())).toBeUndefined();
  world.start('tune').run();
  expect(statusOf(world)).toMatchObject({ keptIn: 'pvc://larger/.offsite-work' });
});

it.each([{ containerID: 'containerd://0' }, { restartCount: 1 }])(
  'a worker that the kubelet knows nothing of any more has been at work where it has %o',
  (known) => {
    const world = tune({ privacy })
      .run()
      .podIs('tune', (pod) => lost(pod, known));
    expect(statusOf(world.run())).toMatchObject({ keptIn: kept });
  },
);

it('where no rows are hidden nothing is said', () => {
  const world = tune({}).run().start('tune').run();
  expect(statusOf(world)).toMatchObject({ phase: 'Running' });
  expect(statusOf(world).keptIn).toBeUndefined();
});
