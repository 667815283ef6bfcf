import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { runHashOf } from '../../../../../operator/jobs/identity.ts';
import type { Power } from '../../../../../operator/jobs/index.ts';
import { annotation } from '../../../../../operator/jobs/names.ts';
import { fitsEnvironment, hashOfSpec } from '../../../../../src/api/index.ts';
import {
  artifact,
  completed,
  condition,
  digestOf,
  ended,
  failedWith,
  pod,
  resource,
  succeeded,
  World,
} from '../../../../support/unit/operator/fixtures.ts';

const build = (spec: object = {}) => new World(resource('EmulatorBuild', { spec }));
const tune = (spec: object = {}) => {
  const world = new World(resource('OffsiteTune', { spec }));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world;
};
const result = (character: string, uri?: string) => ({ artifact: artifact(character, uri) });
const completeTune = (spec: object = {}) => {
  const world = tune(spec).run().start('tune').run().done('tune', 'a');
  world.results = { tune: { ...result('a', world.output), training: { steps: 120 } } };
  return world.run();
};

describe('a run from its creation to its end', () => {
  it('writes the status, then the Job; follows its pods; completes with the whole result', () => {
    const world = build().run();
    expect(world.writes).toEqual([
      'status Pending',
      expect.stringMatching(/^create words-probe-[0-9a-f]{10}-1$/),
    ]);
    world.start('probe').run();
    expect(world.status).toMatchObject({ phase: 'Running', attempt: 1, observedGeneration: 1 });
    world.done('probe').run();
    expect(world.status.phase).toBe('Running');
    world.start('assemble').run().done('assemble', 'b');
    world.results = { assemble: { ...result('b'), plan: plan(), phase: 'Failed' } };
    world.run();
    expect(world.status).toMatchObject({
      phase: 'Complete',
      artifact: { digest: digestOf('b') },
      plan: plan(),
    });
    expect(world.holding).toEqual(['Complete/Complete']);
    expect(world.status['startTime']).toBeDefined();
    expect(world.status['completionTime']).toBeDefined();
    expect(world.jobs).toHaveLength(2);
    expect(world.events).toEqual(['Normal Complete']);
  });

  it('of an EmulatorBuild whose pods can hand nothing over is one Job, which does both, for any shards', () => {
    const output = { uri: 's3://exchange/words' };
    const probe = { data: { uri: 'pvc://data/p', format: 'text' }, shards: 4 };
    const world = build({ output, probe }).run();
    expect(world.writes).toEqual([
      'status Pending',
      expect.stringMatching(/^create words-assemble-[0-9a-f]{10}-1$/),
    ]);
    world.start('assemble').run().done('assemble', 'b');
    world.results = { assemble: { ...result('b', output.uri), plan: plan() } };
    expect(world.run().status.phase).toBe('Complete');
    expect(world.jobs).toHaveLength(1);
    const kept = build({ output, probe, work: { uri: 's3://private/work' } }).run();
    expect(kept.writes.at(-1)).toMatch(/^create words-probe-/);
  });

  it('is the same at each look when nothing has changed', () => {
    const world = completeTune();
    expect(world.decide()).toEqual({ by: 'complete', remove: [], create: [], events: [] });
  });

  it('tells every condition the generation that it is about', () => {
    const world = tune().run().start('tune').run().edit({ suspend: true }).run();
    expect(world.status.conditions?.map(({ observedGeneration }) => observedGeneration)).toEqual([2]);
  });

  it('does nothing more once the resource is being deleted', () => {
    const world = new World(resource('EmulatorBuild', { deleted: true }));
    expect(world.run().writes).toEqual([]);
  });
});

const plan = () => ({ clusters: [[0, 1]], kept: [0], transferLayers: [0], source: [0, 0] });

describe('a reference', () => {
  it.each([
    ['nothing', undefined, 'DependencyMissing', 'there is no such EmulatorBuild'],
    [
      'one under way',
      resource('EmulatorBuild', { status: { phase: 'Running' } }),
      'DependencyNotComplete',
      '',
    ],
    ['one that failed', failedBuild(), 'DependencyFailed', 'it has failed (BadData) and must be put right'],
    [
      'one whose spec was changed after it was Complete',
      {
        ...completed('EmulatorBuild', 'e'),
        metadata: { ...resource('EmulatorBuild').metadata, generation: 2 },
      },
      'DependencyNotComplete',
      '',
    ],
    [
      'one that is being deleted',
      completed('EmulatorBuild', 'e', { deleted: true }),
      'DependencyMissing',
      '',
    ],
  ])('to %s is waited for', (_, emulator, reason, more) => {
    const world = tune();
    world.dependencies = { emulator };
    world.run();
    expect(world.holding).toEqual([`Waiting/${reason}`]);
    expect(world.message('Waiting')).toContain(
      'spec.emulator.ref: waits for EmulatorBuild words to be Complete',
    );
    expect(world.message('Waiting')).toContain(more);
    expect(world.status.phase).toBe('Pending');
    expect(world.jobs).toEqual([]);
    world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
    world.run();
    expect(world.holding).toEqual([]);
    expect(world.jobs).toHaveLength(1);
    expect(world.status['inputs']).toEqual({
      emulator: { uri: 'pvc://artifacts/words-emulator', digest: digestOf('e') },
    });
  });

  it('to one whose spec was changed in what changes no result is not waited for', () => {
    const emulator = new World(resource('EmulatorBuild'))
      .run()
      .start('probe')
      .done('probe')
      .run()
      .done('assemble', 'e');
    emulator.results = { assemble: { artifact: artifact('e') } };
    emulator.run().edit({ backoffLimit: 1 });
    const world = tune();
    world.dependencies = { emulator: emulator.object };
    expect(world.run().jobs).toHaveLength(1);
    world.dependencies = { emulator: emulator.edit({ layers: 3 }).object };
    expect(world.run().holding).toEqual(['Outdated/DependencyNotComplete']);
  });

  it('names the adapter once the emulator is there', () => {
    const world = new World(resource('PlugIn'));
    world.dependencies = { emulator: completed('EmulatorBuild', 'e'), adapter: undefined };
    world.run();
    expect(world.message('Waiting')).toContain('spec.adapter.ref: waits for OffsiteTune words');
  });

  it.each([
    ['OffsiteTune', { name: 'earlier' }],
    ['PlugIn', { kind: 'PlugIn', name: 'earlier' }],
  ] as const)('to the adapter of an %s to go on from is waited for, and read', (kind, ref) => {
    const world = new World(resource('OffsiteTune', { spec: { start: { ref } } }));
    world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
    world.run();
    expect(world.message('Waiting')).toContain(`spec.start.ref: waits for ${kind} earlier`);
    world.dependencies = { ...world.dependencies, start: completed(kind, 's') };
    const [job] = world.run().jobs;
    expect(JSON.stringify(job)).toContain(digestOf('s'));
    expect(world.status['inputs']).toMatchObject({ start: { digest: digestOf('s') } });
  });

  describe('among several', () => {
    const several = () => {
      const adapters = [
        { uri: 's3://b/south', digest: digestOf('d'), secretRef: { name: 'south' } },
        { ref: { name: 'north' }, secretRef: { name: 'north' } },
        { ref: { name: 'west' } },
      ];
      const spec = { adapter: undefined, adapters, aggregation: { method: 'median' } };
      const world = new World(resource('PlugIn', { spec }));
      world.dependencies = {
        emulator: completed('EmulatorBuild', 'e'),
        'adapters[1]': completed('OffsiteTune', 'a', { name: 'north' }),
        'adapters[2]': completed('OffsiteTune', 'b', { name: 'west' }),
      };
      return world;
    };

    it('is waited for, each of them', () => {
      const world = several();
      world.dependencies = { ...world.dependencies, 'adapters[2]': undefined };
      world.run();
      expect(world.message('Waiting')).toContain('spec.adapters[2].ref: waits for OffsiteTune west');
      expect(world.jobs).toEqual([]);
    });

    it('is told to the pod and to the status in the order of the spec, with the Secrets of all', () => {
      const world = several().run();
      const { inputs } = world.status;
      expect(inputs).toMatchObject({
        emulator: { digest: digestOf('e') },
        adapters: [{ digest: digestOf('d') }, { digest: digestOf('a') }, { digest: digestOf('b') }],
      });
      const template = JSON.stringify(world.job('plug').spec?.['template']);
      expect(template).toContain('{"secretName":"south","defaultMode":288}');
      expect(template).toContain('{"secretName":"north","defaultMode":288}');
      expect(template).toContain('adapters[2]');
    });

    it('is another after the end: the condition names which', () => {
      const world = several().run().start('plug').run().done('plug', 'c');
      world.results = { plug: { artifact: artifact('c', world.output), evaluation: [], gates: [] } };
      world.run();
      expect(world.status.phase).toBe('Complete');
      world.dependencies = {
        ...world.dependencies,
        'adapters[2]': completed('OffsiteTune', 'f', { name: 'west', generation: 2 }),
      };
      world.run();
      expect(world.message('Outdated')).toContain(
        `spec.adapters[2].ref: is ${digestOf('f')} now; this was made from ${digestOf('b')}`,
      );
    });
  });

  it('whose artifact is another now: the run starts again with the new one', () => {
    const world = tune().run().start('tune').run();
    world.dependencies = { emulator: completed('EmulatorBuild', 'f', { generation: 2 }) };
    world.run();
    expect(world.status.attempt).toBe(2);
    expect(world.holding).toEqual(['Waiting/Terminating']);
    world.collect().run();
    expect(world.jobs.map(({ metadata }) => metadata.name)).toEqual([expect.stringMatching(/-2$/)]);
    expect(world.status['inputs']).toMatchObject({ emulator: { digest: digestOf('f') } });
  });

  it.each([
    ['is deleted', undefined, 'DependencyMissing'],
    ['is made anew', resource('EmulatorBuild', { status: { phase: 'Running' } }), 'DependencyNotComplete'],
  ])('whose target %s: a run under way goes on with what it read, and says so', (_, emulator, reason) => {
    const world = tune().run().start('tune').run();
    world.dependencies = { emulator };
    world.run();
    expect(world.holding).toEqual([`Outdated/${reason}`]);
    expect(world.status).toMatchObject({ phase: 'Running', attempt: 1 });
  });

  it('whose artifact changed after the end: Complete stays, and says that it is outdated', () => {
    const world = completeTune();
    world.dependencies = { emulator: completed('EmulatorBuild', 'f', { generation: 2 }) };
    world.run();
    expect(world.holding).toEqual(['Complete/Complete', 'Outdated/DependencyChanged']);
    expect(world.message('Outdated')).toContain(digestOf('f'));
    expect(world.status.attempt).toBe(1);
  });

  it('by uri and digest waits for nothing', () => {
    const world = new World(
      resource('OffsiteTune', { spec: { emulator: { uri: 's3://b/e', digest: digestOf('d') } } }),
    );
    world.run();
    expect(world.jobs).toHaveLength(1);
    expect(world.status['inputs']).toEqual({ emulator: { uri: 's3://b/e', digest: digestOf('d') } });
  });
});

describe('the hash of a spec in a status', () => {
  /** What is done, with another hash in its status, and a spec that differs in nothing that changes the result. */
  const doneUnder = (hashOf: (hash: string) => string) => {
    const world = completeTune();
    const { specHash } = world.status as { specHash: string };
    expect(specHash).toMatch(/^[0-9a-f]{64}$/);
    world.object = { ...world.object, status: { ...world.status, specHash: hashOf(specHash) } };
    return world;
  };

  it.each([10, 16])(
    'that an earlier version wrote with %i letters is the same: what is done is not done again, nor rewritten',
    (letters) => {
      const world = doneUnder((hash) => hash.slice(0, letters));
      const before = world.writes.length;
      expect(world.run().writes).toHaveLength(before);
      world.edit({ ttlSecondsAfterFinished: 60 }).run();
      expect(world.holding).toEqual(['Complete/Complete']);
      const short = expect.stringMatching(`^[0-9a-f]{${letters}}$`);
      expect(world.status).toMatchObject({ attempt: 1, specHash: short });
      world.edit({ training: { steps: 121 } }).run();
      expect(world.status).toMatchObject({ attempt: 2, specHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    },
  );

  it.each<[string, (hash: string) => string]>([
    ['begins with the same ten letters', (hash) => `${hash.slice(0, 10)}ffffff`],
    ['begins with the same sixteen letters', (hash) => hash.slice(0, 16).padEnd(64, 'f')],
    ['is shorter than any version wrote', (hash) => hash.slice(0, 9)],
    ['is empty', () => ''],
  ])('that %s is another: it runs again', (_, hashOf) => {
    const world = doneUnder(hashOf).edit({ ttlSecondsAfterFinished: 60 }).run();
    expect(world.status.attempt).toBe(2);
  });

  it('of ten letters keeps those that wait for it from waiting', () => {
    const target = completed('EmulatorBuild', 'e', { generation: 1 });
    const specHash = hashOfSpec('EmulatorBuild', target.metadata.uid!, target['spec'] as object).slice(0, 10);
    const status = { ...(target['status'] as object), specHash };
    const edited = { ...target, metadata: { ...target.metadata, generation: 2 }, status };
    const world = new World(resource('OffsiteTune'));
    world.dependencies = { emulator: edited };
    expect(world.run().jobs).toHaveLength(1);
  });
});

describe('the hashes in a Job', () => {
  /** A run whose first stage is at work, with other hashes in its Job: of the spec as it runs, and of what it reads. */
  const runningUnder = (hashOf: (hash: string) => string) => {
    const world = tune().run().start('tune').run();
    world.jobs = world.jobs.map(({ metadata, ...job }) => {
      const { annotations } = metadata as { annotations: Record<string, string> };
      for (const of of ['run', 'inputs'])
        expect(annotations[`offsite-tuning.dev/${of}-hash`]).toMatch(/^[0-9a-f]{64}$/);
      const isHash = (name: string) => name.endsWith('-hash');
      const other = Object.entries(annotations).map(([name, value]) => [
        name,
        isHash(name) ? hashOf(value) : value,
      ]);
      return { ...job, metadata: { ...metadata, annotations: Object.fromEntries(other) } };
    });
    return world;
  };

  it('that an earlier version wrote with sixteen letters are the same: what runs goes on, until its spec is another', () => {
    const world = runningUnder((hash) => hash.slice(0, 16));
    const before = world.writes.length;
    expect(world.run().writes).toHaveLength(before);
    expect(world.edit({ backoffLimit: 7 }).run().status.attempt).toBe(2);
  });

  it('that begin with the same sixteen letters are others: it starts again', () => {
    expect(runningUnder((hash) => hash.slice(0, 16).padEnd(64, 'f')).run().status.attempt).toBe(2);
  });
});

function failedBuild() {
  const failed = completed('EmulatorBuild', 'e');
  const status = failed['status'] as { conditions: { type: string; reason: string }[] };
  return {
    ...failed,
    status: { ...status, conditions: [{ ...status.conditions[0], type: 'Failed', reason: 'BadData' }] },
  };
}

describe('suspend', () => {
  it('removes the Job, waits for its pods, and resumes as the next attempt', () => {
    const world = tune().run().start('tune').run().edit({ suspend: true }).run();
    expect(world.holding).toEqual(['Waiting/Suspending']);
    expect(world.message('Waiting')).toContain('may save a checkpoint');
    expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
    world.collect().run();
    expect(world.status.phase).toBe('Suspended');
    expect(world.holding).toEqual(['Suspended/Suspended']);
    expect(world.message('Suspended')).toBe('spec.suspend is true: set it to false to run');
    world.edit({ suspend: false }).run();
    expect(world.status.attempt).toBe(2);
    expect(world.holding).toEqual([]);
    expect(world.jobs.map(({ metadata }) => metadata.name)).toEqual([expect.stringMatching(/-2$/)]);
  });

  it('from the start: no Job; the first attempt comes when it is taken away', () => {
    const world = tune({ suspend: true }).run();
    expect(world.jobs).toEqual([]);
    expect(world.status.phase).toBe('Suspended');
    world.edit({ suspend: false }).run();
    expect(world.status.attempt).toBe(1);
    expect(world.jobs).toHaveLength(1);
  });

  it('taken back while the pods still end: the next attempt waits for them', () => {
    const world = tune()
      .run()
      .start('tune')
      .run()
      .edit({ suspend: true })
      .run()
      .edit({ suspend: false })
      .run();
    expect(world.status).toMatchObject({ attempt: 2, phase: 'Pending' });
    expect(world.holding).toEqual(['Waiting/Terminating']);
    world.collect().run();
    expect(world.jobs).toHaveLength(1);
  });

  it('on a node that is lost says so', () => {
    const world = tune().run().start('tune').run().edit({ suspend: true }).run();
    world.pods = world.pods.map((own) => ({
      ...own,
      metadata: { ...own.metadata, deletionTimestamp: world.now.toISOString() },
    }));
    expect(world.wait(31_000).run().holding).toEqual(['Waiting/NodeLost']);
  });

  it('changes nothing that is Complete', () => {
    const world = completeTune().edit({ suspend: true }).run();
    expect(world.status).toMatchObject({ phase: 'Complete', observedGeneration: 2, attempt: 1 });
  });
});

describe('a changed spec', () => {
  it('removes the old Job and makes the next attempt when the old pods have ended', () => {
    const world = tune().run().start('tune').run();
    const [before] = world.jobs;
    world.edit({ training: { steps: 60 } }).run();
    expect(world.jobs).toEqual([
      expect.objectContaining({
        metadata: expect.objectContaining({ deletionTimestamp: expect.any(String) }),
      }),
    ]);
    world.collect().run();
    expect(world.job('tune').metadata.name).not.toBe(before?.metadata.name);
    expect(world.status).toMatchObject({ attempt: 2, observedGeneration: 2 });
  });

  it.each([
    ['template', { template: { spec: { nodeSelector: { a: 'b' } } } }],
    ['backoffLimit', { backoffLimit: 1 }],
  ])('of %s: another attempt while it runs, none when it is Complete', (_, change) => {
    expect(tune().run().edit(change).run().status.attempt).toBe(2);
    expect(completeTune().edit(change).run().status).toMatchObject({
      phase: 'Complete',
      attempt: 1,
      observedGeneration: 2,
    });
  });

  it('of ttlSecondsAfterFinished: the run goes on', () => {
    expect(tune().run().edit({ ttlSecondsAfterFinished: 60 }).run().status.attempt).toBe(1);
  });

  it('of a Complete resource: it is made again', () => {
    const world = completeTune()
      .edit({ training: { steps: 60 } })
      .run();
    expect(world.status).toMatchObject({ phase: 'Pending', attempt: 2 });
    expect(world.status['artifact']).toBeUndefined();
    expect(world.status.conditions).toContainEqual(
      expect.objectContaining({
        type: 'Complete',
        status: 'False',
        reason: 'SpecChanged',
        observedGeneration: 2,
      }),
    );
  });

  it('mends a failure', () => {
    const world = tune().run();
    world.podIs('tune', (own) => ended(own, failedWith(11, 'tune', 'BadData', 'row 3 has no answer')));
    world.jobIs('tune', 'Failed', { reason: 'PodFailurePolicy' }).run();
    expect(world.status.phase).toBe('Failed');
    expect(world.wait(1000).run().jobs).toHaveLength(1);
    world.edit({ data: { uri: 'pvc://private/better.jsonl', format: 'multipleChoice' } }).run();
    world.collect().run();
    expect(world.status).toMatchObject({ phase: 'Pending', attempt: 2 });
    expect(world.holding).toEqual([]);
    expect(world.jobs).toHaveLength(1);
  });
});

describe('a wrong spec', () => {
  it.each([
    ['a field of its own', { layers: 'many' }, 'spec.layers'],
    [
      'a file: address',
      { model: { uri: 'file:models/x' } },
      'spec.model.uri: must not be file: in a cluster',
    ],
    ['an unknown field', { layerz: 3 }, 'spec.layerz: there is no such field; did you mean layers?'],
    ['a template that is none', { template: { spec: { containers: 'x' } } }, 'spec.template.spec.containers'],
    [
      'an unnamed container',
      { template: { spec: { containers: [{}] } } },
      'spec.template.spec.containers[0].name',
    ],
    [
      'a quantity that is none',
      { template: { spec: { containers: [{ name: 'worker', resources: { limits: { memory: 'many' } } }] } } },
      'spec.template.spec.containers[0].resources.limits.memory: must be a quantity, such as "4Gi" or "500m"',
    ],
  ])('with %s fails with the field, and goes on when it is put right', (_, spec, message) => {
    const world = build(spec).run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.message('Failed')).toContain(message);
    expect(world.jobs).toEqual([]);
    const right = Object.fromEntries(Object.keys(spec).map((field) => [field, undefined]));
    world.edit({ ...right, layers: 24, model: { uri: 'pvc://models/smollm2' } }).run();
    expect(world.holding).toEqual([]);
    expect(world.jobs).toHaveLength(1);
  });

  it('stops what runs by the earlier one', () => {
    const world = build().run().start('probe').run().edit({ layers: 0 }).run();
    expect(world.status.phase).toBe('Failed');
    expect(world.job('probe').metadata.deletionTimestamp).toBeDefined();
    world.collect().edit({ layers: 24 }).run();
    expect(world.status).toMatchObject({ phase: 'Pending', attempt: 2 });
  });

  it('of the size annotation is named', () => {
    const annotations = { 'offsite-tuning.dev/model-size': 'big' };
    const world = new World(resource('EmulatorBuild', { annotations })).run();
    expect(world.message('Failed')).toBe(
      'metadata.annotations[offsite-tuning.dev/model-size]: must be a quantity in quotes, such as "15Gi"',
    );
  });
});

describe('a template that asks for more than the installation allows', () => {
  const template = {
    spec: { serviceAccountName: 'deployer', volumes: [{ name: 'n', hostPath: { path: '/' } }] },
  };
  const takesTheNode = {
    hostPID: true,
    initContainers: [
      {
        name: 'taken',
        image: 'busybox',
        command: ['nsenter', '-t', '1', '-a', 'sh', '-c', 'id > /root/taken; sleep 3600'],
        restartPolicy: 'Always',
        securityContext: { privileged: true },
      },
    ],
  };
  const allowing = (world: World, ...allowInTemplates: Power[]) => {
    world.settings = { ...world.settings, allowInTemplates };
    return world;
  };

  it('makes no Job, names each field, and runs when the template is put right', () => {
    const world = tune({ template }).run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.jobs).toEqual([]);
    expect(world.message('Failed')).toBe(
      "spec.template.spec.serviceAccountName: gives the pod the name of a service account; leave it out, or ask for the chart's worker.allowInTemplates.serviceAccounts\n" +
        "spec.template.spec.volumes[0].hostPath: gives the pod the node's files; leave it out, or ask for the chart's worker.allowInTemplates.hostPaths",
    );
    world.edit({ template: { spec: { nodeSelector: { a: 'b' } } } }).run();
    expect(world.holding).toEqual([]);
    expect(world.jobs).toHaveLength(1);
  });

  it('runs once the installation allows it, without a change of the spec', () => {
    const world = tune({ template }).run();
    expect(allowing(world, 'serviceAccounts').run().message('Failed')).toMatch(
      /^spec\.template\.spec\.volumes\[0\]\.hostPath: [^\n]*$/,
    );
    expect(allowing(world, 'serviceAccounts', 'hostPaths').run().holding).toEqual([]);
    expect(world.job('tune').spec?.['template']).toMatchObject({ spec: { serviceAccountName: 'deployer' } });
  });

  it('leaves what is Complete as it is, and the attempt that runs when the installation allows less', () => {
    const complete = completeTune();
    expect(complete.edit({ template }).run().status.phase).toBe('Complete');
    const world = allowing(tune({ template }), 'serviceAccounts', 'hostPaths').run().start('tune').run();
    expect(allowing(world).run().status).toMatchObject({ phase: 'Running', attempt: 1 });
  });

  it('is refused to what runs an innocent spec whose hash begins with the same sixteen letters', () => {
    // Found by computing 15 thousand million hashes, minutes of one machine.
    const [innocent, hostile] = [
      { note: 'x', key: 'f36041968b7b5a55', spec: {} },
      { note: 'x'.repeat(48), key: 'c3693db07750819d', spec: takesTheNode },
    ].map(({ note, key, spec }) => ({
      layers: 4,
      model: { uri: 'pvc://models/m' },
      probe: { data: { uri: 'pvc://models/p.jsonl', format: 'text' } },
      output: { uri: 'pvc://models/o' },
      template: {
        metadata: { annotations: { note } },
        spec: { ...spec, tolerations: [{ key, operator: 'Exists' }] },
      },
    }));
    const world = build(innocent).run().start('probe').run();
    const hash = runHashOf(world.object);
    world.edit(hostile!);
    expect(runHashOf(world.object)).not.toBe(hash);
    expect(runHashOf(world.object).slice(0, 16)).toBe(hash.slice(0, 16));
    world.run().collect().run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.jobs).toEqual([]);
  });

  it('is asked of every Job: a later stage’s is not made when the installation allows less', () => {
    const world = allowing(build({ template }), 'serviceAccounts', 'hostPaths').run().start('probe').run();
    allowing(world).run().done('probe').run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.message('Failed')).toContain('spec.template.spec.volumes[0].hostPath: ');
    expect(world.jobs).toEqual([world.job('probe')]);
    expect(world.status.attempt).toBe(1);
    allowing(world, 'serviceAccounts', 'hostPaths').run().collect().run();
    expect(world.status).toMatchObject({ phase: 'Pending', attempt: 2 });
  });

  it('is asked of every Job: a spec that is taken for the one of the first gives no other Job', () => {
    const world = build().run().start('probe').run().edit({ template });
    // As if the two had one hash.
    world.jobs = world.jobs.map(({ metadata, ...job }) => {
      const annotations = { ...metadata.annotations, [annotation.run]: runHashOf(world.object) };
      return { ...job, metadata: { ...metadata, annotations } };
    });
    world.run().done('probe').run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.jobs).toEqual([world.job('probe')]);
  });

  it('is refused to what runs without it, and its next attempt', () => {
    const world = tune().run().start('tune').run().edit({ template }).run();
    world.collect().run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.jobs).toEqual([]);
  });
});

describe("the operator's own ruling", () => {
  const size = 'offsite-tuning.dev/model-size';
  const annotated = (world: World, value: string) => {
    const { metadata } = world.object;
    world.object = { ...world.object, metadata: { ...metadata, annotations: { [size]: value } } };
    return world;
  };

  it.each([
    ['an annotation', (world: World) => annotated(world, 'big')],
    [
      'a field that changes no result',
      (world: World) => world.edit({ template: { spec: { containers: 'x' } } }),
    ],
  ])('about %s leaves what is Complete as it is, and what it refers to', (_, change) => {
    const world = completeTune({ ttlSecondsAfterFinished: 60 });
    expect(change(world).run().status).toMatchObject({ phase: 'Complete', attempt: 1 });
    expect(world.holding).toEqual(['Complete/Complete']);
    world.wait(60_001).run();
    expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
  });

  it('about a size leaves what runs alone, and holds before a Job is made, until it is put right', () => {
    const world = annotated(tune().run().start('tune').run(), 'big').run();
    expect(world.status).toMatchObject({ phase: 'Running', attempt: 1 });
    const waiting = annotated(tune(), 'big').run();
    expect(waiting.holding).toEqual(['Failed/BadSpec']);
    expect(annotated(waiting, '15Gi').run().holding).toEqual([]);
    expect(waiting.jobs).toHaveLength(1);
  });

  it('about a field that only a later operator knows goes with that operator, without a change of the spec', () => {
    const world = tune().run().start('tune').run();
    // As an older one left it: this field was not known to it.
    const conditions = [condition('Failed', 'BadSpec', 'spec.backoffLimit: there is no such field', 2)];
    world.edit({ backoffLimit: 2 });
    world.object = {
      ...world.object,
      status: { ...world.status, phase: 'Failed', stage: undefined, conditions, observedGeneration: 2 },
    };
    world.jobs = [];
    world.pods = [];
    world.run();
    expect(world.holding).toEqual([]);
    expect(world.status).toMatchObject({ phase: 'Pending', attempt: 2 });
    expect(world.jobs).toHaveLength(1);
  });

  it('is not what a worker found: that stays until the spec is changed', () => {
    const world = tune().run();
    world.podIs('tune', (own) => ended(own, failedWith(10, 'tune', 'BadSpec', 'maxLength is too small')));
    world.jobIs('tune', 'Failed', { reason: 'PodFailurePolicy' }).run().wait(1e6).run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(annotated(world, 'big').run().message('Failed')).toContain('maxLength is too small');
    expect(world.status.attempt).toBe(1);
  });
});

describe('a lost result', () => {
  it('is waited for, then fetched by another attempt, which takes what its pod says if need be', () => {
    const world = tune().run().start('tune').run().done('tune', 'a').run();
    expect(world.holding).toEqual(['Waiting/ResultPending']);
    world.wait(11_000).run();
    expect(world.status.attempt).toBe(2);
    expect(world.holding).toEqual(['ResultLost/ResultLost']);
    world.collect().run().start('tune').done('tune', 'a').wait(11_000).run();
    expect(world.status).toMatchObject({
      phase: 'Complete',
      attempt: 2,
      artifact: { digest: digestOf('a') },
    });
  });

  it('is not waited for when the pod itself has left all of it behind', () => {
    const world = tune().run().start('tune').run();
    const training = { steps: 120, tokens: 9 };
    const { exitCode, message } = succeeded('tune', 'a');
    world.podIs('tune', (own) => ended(own, { exitCode, message: { ...message, summary: { training } } }));
    world.jobIs('tune', 'Complete').run();
    expect(world.status).toMatchObject({ phase: 'Complete', training, artifact: { digest: digestOf('a') } });
  });

  it('of which the pod left a part must agree with that part', () => {
    const world = new World(resource('EmulatorBuild')).run().start('probe').done('probe').run();
    const { exitCode, message } = succeeded('assemble', 'a', world.output);
    const scores = { metric: 'acc' };
    world.podIs('assemble', (own) => ended(own, { exitCode, message: { ...message, summary: { scores } } }));
    world.results = { assemble: { ...result('a'), scores: { metric: 'perplexity' }, plan: plan() } };
    world.jobIs('assemble', 'Complete').run();
    expect(world.holding).toEqual(['Waiting/ResultPending']);
    world.results = { assemble: { ...result('a'), scores, plan: plan() } };
    expect(world.run().status).toMatchObject({ phase: 'Complete', scores, plan: plan() });
  });

  it('is not waited for when NATS cannot bring it', () => {
    const world = tune().run().start('tune').run();
    world.connected = undefined;
    world.done('tune', 'a').run();
    expect(world.status).toMatchObject({ phase: 'Complete', artifact: { digest: digestOf('a') } });
  });

  it('that comes late fills what the pod had no room for, if it agrees with what it said', () => {
    const world = new World(resource('EmulatorBuild')).run().start('probe').done('probe').run();
    world.connected = false;
    world.done('assemble', 'a').run();
    expect(world.status).toMatchObject({ phase: 'Complete', artifact: { digest: digestOf('a') } });
    world.connected = true;
    world.results = { assemble: { ...result('9'), plan: plan() } };
    expect(world.run().status).not.toHaveProperty('plan');
    world.results = { assemble: { ...result('a'), plan: plan() } };
    expect(world.run().status).toMatchObject({ phase: 'Complete', plan: plan() });
    expect(world.jobs).toHaveLength(2);
  });

  it.each([
    ['of an earlier run', result('9', 'pvc://artifacts/words-adapter')],
    ['that is no result', 'nonsense'],
    ['of a wrong shape', { artifact: { digest: digestOf('a') } }],
  ])('is not taken from a report %s', (_, tuned) => {
    const world = tune().run().start('tune').run().done('tune', 'a');
    world.results = { tune: tuned };
    world.run();
    expect(world.holding).toEqual(['Waiting/ResultPending']);
  });

  it('that stays lost fails, with both ways named', () => {
    const world = tune().run().start('tune').run().done('tune', 'a').run().wait(11_000).run();
    world.collect().run().start('tune').done('tune');
    world.pods = [];
    world.wait(11_000).run();
    expect(world.holding).toEqual(['Failed/ResultLost']);
  });
});

describe('a pod that says that its artifact lies elsewhere', () => {
  const evil = 'https://evil.example/adapter';

  it('is not believed, and is named where it says so again', () => {
    const world = tune().run();
    const end = succeeded('tune', 'a', evil);
    for (let attempt = 1; attempt <= 2; attempt++) {
      world.podIs('tune', (own) => ended(own, end)).jobIs('tune', 'Complete');
      world.run().wait(11_000).run().collect().run();
    }
    expect(world.holding).toEqual(['Failed/ResultLost']);
    expect(world.message('Failed')).toBe(
      `stage tune: its pod says that the artifact lies at ${evil}; what does not lie at spec.output.uri (pvc://artifacts/words-adapter) is not taken`,
    );
    expect(world.status).not.toHaveProperty('artifact');
  });

  it('leads nobody there, though an earlier operator has taken its word', () => {
    const told = completed('OffsiteTune', 'a');
    told['status'] = { ...(told['status'] as object), artifact: artifact('a', evil) };
    const world = new World(resource('PlugIn'));
    world.dependencies = { emulator: completed('EmulatorBuild', 'e'), adapter: told };
    expect(world.run().status['inputs']).toMatchObject({
      adapter: { uri: 'pvc://artifacts/words-adapter', digest: digestOf('a') },
    });
    expect(JSON.stringify(world.job('plug'))).not.toContain(evil);
  });
});

describe('Jobs that somebody else touches', () => {
  it('one that is gone is made again under its name, after its pods have ended', () => {
    const world = tune().run().start('tune').run();
    const { name } = world.job('tune').metadata;
    world.jobs = [];
    expect(world.run().holding).toEqual(['Waiting/Terminating']);
    world.pods = [];
    world.run();
    expect(world.jobs.map(({ metadata }) => metadata.name)).toEqual([name]);
  });

  it('one that is being deleted is followed by the next attempt', () => {
    const world = tune().run().start('tune').run();
    world.jobs = world.jobs.map((job) => ({
      ...job,
      metadata: { ...job.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    }));
    world.run();
    expect(world.status.attempt).toBe(2);
    expect(world.events).toContain('Normal Restarted');
  });

  it('the probe Job is not missed while its assemble Job is there', () => {
    const world = build().run().start('probe').run().done('probe').run();
    world.jobs = [world.job('assemble')];
    world.run();
    expect(world.jobs).toHaveLength(1);
  });

  it('pods of another attempt are waited for, also when their Job is gone', () => {
    const world = tune().run().start('tune').run();
    world.edit({ suspend: true }).run();
    world.jobs = [];
    world.edit({ suspend: false }).run();
    expect(world.holding).toEqual(['Waiting/Terminating']);
    expect(world.jobs).toEqual([]);
    world.pods = [];
    expect(world.run().jobs).toHaveLength(1);
  });
});

describe('after the end', () => {
  it('finished Jobs stay, or go when spec.ttlSecondsAfterFinished has passed', () => {
    expect(completeTune().wait(1e9).run().jobs[0]?.metadata.deletionTimestamp).toBeUndefined();
    const world = completeTune({ ttlSecondsAfterFinished: 60 });
    expect(world.decide().lookAgainMilliseconds).toBe(60_000);
    world.wait(60_001).run();
    expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
    expect(world.collect().run().status).toMatchObject({ phase: 'Complete', attempt: 1 });
  });

  it('a lost status is found again from the Jobs', () => {
    const world = tune().run().start('tune').run();
    delete world.object['status'];
    world.run();
    expect(world.status).toMatchObject({ phase: 'Running', attempt: 1 });
    expect(world.jobs).toHaveLength(1);
  });
});

describe('several shards', () => {
  const claim = (...accessModes: string[]) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'x' },
    spec: { accessModes },
  });
  const shared = (artifacts: object) => {
    const world = build({ probe: { data: { uri: 'pvc://data/p', format: 'text' }, shards: 2 } });
    world.claims = new Map([
      ['models', claim('ReadOnlyMany')],
      ['data', claim('ReadWriteMany')],
      ['artifacts', artifacts as ReturnType<typeof claim>],
    ]);
    return world.run();
  };

  it('need a claim that several nodes may write', () => {
    const world = shared(claim('ReadWriteOnce'));
    expect(world.holding).toEqual(['Waiting/ClaimNotShared']);
    expect(world.message('Waiting')).toBe(
      'spec.probe.shards: 2 pods share claim artifacts, which is ReadWriteOnce: it must be ReadWriteMany, or use s3://, or shards: 1',
    );
    expect(world.decide().lookAgainMilliseconds).toBe(30_000);
    world.claims.set('artifacts', claim('ReadWriteOnce', 'ReadWriteMany'));
    expect(world.run().job('probe').spec).toMatchObject({
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
    });
  });

  it('only read a claim that is ReadOnlyMany', () => {
    expect(shared(claim('ReadOnlyMany')).message('Waiting')).toContain('it must be ReadWriteMany');
  });
});

describe('a resource that is too large for its pods’ environment', () => {
  const digest = digestOf('a');
  const plugOf = (length: number, count: number) =>
    new World(
      resource('PlugIn', {
        spec: {
          emulator: { uri: 'pvc://artifacts/words-emulator', digest },
          adapter: undefined,
          adapters: Array.from({ length: count }, (_, i) => ({
            uri: `s3://exchange/${'ä'.repeat(length)}/${i}`,
            digest: `sha256:${String(i).padStart(64, '0')}`,
          })),
          aggregation: { method: 'mean' },
        },
      }),
    );

  it('fails before there is a Job, says which field and how much, and goes on when that is smaller', () => {
    const world = plugOf(1000, 40).run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.message('Failed')).toMatch(
      /^spec\.adapters: makes the resource, with what it refers to, too large for a pod to be told: 1[67]\d{4} bytes of JSON, 8\d{4} of them in this field; /,
    );
    expect(world.jobs).toEqual([]);
    expect(world.run().holding).toEqual(['Failed/BadSpec']);
    const { spec } = plugOf(1000, 3).object;
    expect(world.edit(spec as object).run().holding).toEqual([]);
    expect(world.jobs).toHaveLength(1);
  });

  it('is told to the last byte that Linux starts a process with', () => {
    expect(fitsEnvironment('A', 'x'.repeat(131_069))).toBe(true);
    expect(fitsEnvironment('A', 'x'.repeat(131_070))).toBe(false);
    expect(fitsEnvironment('A', 'ä'.repeat(65_535))).toBe(false);
    for (const letters of ['x'.repeat(131_069), 'ä'.repeat(65_534)]) {
      const said = execFileSync(process.execPath, ['-p', 'process.env.A.length'], { env: { A: letters } });
      expect(Number(said)).toBe(letters.length);
    }
    expect(() => execFileSync(process.execPath, ['-p', '1'], { env: { A: 'x'.repeat(131_070) } })).toThrow(
      'E2BIG',
    );
  });
});

describe('a refused Job', () => {
  const refusal = {
    message: 'exceeded quota: gpus',
    generation: 1,
    tryAgainAt: Date.parse('2026-01-01T00:00:10Z'),
  };

  it('is tried again when its time has come, and says why it waits', () => {
    const world = tune();
    world.refusal = { ...refusal, final: false };
    world.run();
    expect(world.holding).toEqual(['Waiting/JobRefused']);
    expect(world.message('Waiting')).toContain('exceeded quota: gpus');
    expect(world.decide().lookAgainMilliseconds).toBe(10_000);
    expect(world.wait(10_000).decide().create).toHaveLength(1);
    world.refusal = undefined;
    expect(world.run().holding).toEqual([]);
  });

  it('that is wrong in itself fails the resource until the spec is changed', () => {
    const world = tune();
    world.refusal = { ...refusal, message: 'spec.template.spec.x: Invalid', final: true };
    world.run();
    expect(world.holding).toEqual(['Failed/BadSpec']);
    expect(world.message('Failed')).toBe(
      'spec.template: the API server refuses the Job: spec.template.spec.x: Invalid',
    );
    expect(world.edit({ template: {} }).run().jobs).toHaveLength(1);
  });
});

it('NATS away is a condition of what runs, and goes with it', () => {
  const world = tune().run();
  world.connected = false;
  world.run();
  expect(world.status.conditions).toContainEqual(
    expect.objectContaining({ type: 'ProgressAvailable', status: 'False', reason: 'NatsUnavailable' }),
  );
  world.connected = true;
  expect(world.run().status.conditions).toEqual([]);
});

it('progress, which another writer owns, is never written', () => {
  const world = tune().run();
  world.object = { ...world.object, status: { ...world.status, progress: { progressPercentage: 10 } } };
  expect(world.decide().status).toBeUndefined();
  world.pods = [pod(world.job('tune'))];
  expect(world.decide().status).not.toHaveProperty('progress');
});
