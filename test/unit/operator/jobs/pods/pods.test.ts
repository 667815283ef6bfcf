import { describe, expect, it } from 'vitest';
import { runHashOf } from '../../../../../operator/jobs/identity.ts';
import { annotation } from '../../../../../operator/jobs/names.ts';
import type { Pod } from '../../../../../operator/jobs/objects.ts';
import {
  artifact,
  completed,
  digestOf,
  ended,
  failedWith,
  pod,
  resource,
  World,
  waitingFor,
  withConditions,
} from '../../../../support/unit/operator/fixtures.ts';

const tune = (spec: object = {}, labels: Record<string, string> = {}) => {
  const world = new World(resource('OffsiteTune', { spec, labels }));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  return world.run();
};
const limited = (own: Pod, request = '6Gi'): Pod => ({
  ...own,
  spec: {
    ...own.spec,
    containers: [{ name: 'worker', resources: { requests: { memory: request }, limits: { memory: '6Gi' } } }],
  },
});
const oom = (own: Pod) => ended(own, { exitCode: 137, reason: 'OOMKilled' });
const later = (milliseconds: number) =>
  new Date(Date.parse('2026-01-01T00:00:00Z') + milliseconds).toISOString();
const deletedAt = (own: Pod, milliseconds: number): Pod => ({
  ...own,
  metadata: { ...own.metadata, deletionTimestamp: later(milliseconds) },
});
const unscheduled = (own: Pod, message: string): Pod => ({
  ...own,
  status: {
    phase: 'Pending',
    conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }],
  },
});

describe('a pod that does not get to work', () => {
  it.each<[string, (own: Pod) => Pod, string, string]>([
    [
      'no node has a GPU',
      (own) => unscheduled(own, '0/1 nodes are available: 1 Insufficient nvidia.com/gpu.'),
      'Unschedulable',
      '1 Insufficient nvidia.com/gpu',
    ],
    [
      'its image cannot be pulled',
      (own) => waitingFor(own, 'ImagePullBackOff', 'Back-off pulling image'),
      'ImagePullFailed',
      'image worker:1 is not there (ImagePullBackOff: Back-off pulling image)',
    ],
    [
      'its container cannot be made',
      (own) => waitingFor(own, 'CreateContainerConfigError', 'secret "s3" not found'),
      'ContainerNotCreated',
      'CreateContainerConfigError: secret "s3" not found',
    ],
    [
      'its node stopped answering',
      (own) => withConditions(own, { type: 'Ready', status: 'False', lastTransitionTime: later(0) }),
      'NodeLost',
      'node node-1 of pod',
    ],
  ])('%s: the condition says so and for how much', (_, change, reason, message) => {
    const world = tune().podIs('tune', change).wait(60_000).run();
    expect(world.holding).toEqual([`Waiting/${reason}`]);
    expect(world.message('Waiting')).toContain(message);
    expect(world.jobs).toHaveLength(1);
    world.pods = [pod(world.job('tune'))];
    expect(world.run().holding).toEqual([]);
    expect(world.status.phase).toBe('Running');
  });

  it('is lost with its node when it should have ended long ago; until then it is looked at again', () => {
    const world = tune()
      .podIs('tune', (own) => deletedAt(own, 0))
      .run();
    expect(world.holding).toEqual([]);
    expect(world.decide().lookAgainMilliseconds).toBe(30_100);
    world.wait(31_000).run();
    expect(world.holding).toEqual(['Waiting/NodeLost']);
    expect(world.message('Waiting')).toMatch(/on node node-1 was to end and did not: .* --force/);
  });

  it('is not ready for a reason that its kubelet gives: no node is lost', () => {
    const ready = {
      type: 'Ready',
      status: 'False',
      reason: 'ContainersNotReady',
      lastTransitionTime: later(0),
    };
    const world = tune()
      .podIs('tune', (own) => withConditions(own, ready))
      .wait(60_000)
      .run();
    expect(world.holding).toEqual([]);
  });

  it('has no container yet: what its events say is told', () => {
    const world = tune()
      .podIs('tune', (own) => waitingFor(own, 'ContainerCreating'))
      .run();
    expect(world.holding).toEqual([]);
    world.notes.set(world.pods[0]?.metadata.uid ?? '', 'FailedMount: secret "s3" not found');
    expect(world.run().message('Waiting')).toMatch(/words-tune-.*: FailedMount: secret "s3" not found/);
  });

  it('is on a node that was found late: that none was found before is no news', () => {
    const world = tune().podIs('tune', (own) => waitingFor(own, 'ContainerCreating'));
    world.notes.set(world.pods[0]?.metadata.uid ?? '', 'FailedScheduling: Insufficient nvidia.com/gpu');
    expect(world.run().holding).toEqual([]);
  });

  it('was not even made: what the events of its Job say is told', () => {
    const world = tune();
    world.notes.set(world.job('tune').metadata.uid ?? '', 'FailedCreate: exceeded quota: pods=0');
    expect(world.run().holding).toEqual(['Waiting/PodsNotCreated']);
    expect(world.message('Waiting')).toContain('exceeded quota: pods=0');
  });

  it('waits in a queue', () => {
    const world = tune({}, { 'kueue.x-k8s.io/queue-name': 'team-queue', other: 'x' });
    expect(world.job('tune').spec?.suspend).toBe(true);
    expect(world.job('tune').metadata.labels).toMatchObject({ 'kueue.x-k8s.io/queue-name': 'team-queue' });
    expect(world.job('tune').metadata.labels).not.toHaveProperty('other');
    expect(world.run().holding).toEqual(['Waiting/Queued']);
    expect(world.message('Waiting')).toContain('until Kueue admits it from queue team-queue');
    world.notes.set(world.job('tune').metadata.uid ?? '', 'Stopped: The workload is deactivated');
    expect(world.run().message('Waiting')).toMatch(
      /team-queue; its last event: Stopped: The workload is deactivated$/,
    );
    expect(world.decide().lookAgainMilliseconds).toBe(10_100);
    expect(world.wait(3_600_000).decide().lookAgainMilliseconds).toBe(600_100);
  });
});

describe('a Job whose end is seen before that of its pod', () => {
  it('has failed when the pod is seen, for the reason that the pod says', () => {
    const world = tune().start('tune').jobIs('tune', 'Failed', { reason: 'PodFailurePolicy' }).run();
    expect(world.status.phase).toBe('Running');
    world.podIs('tune', (own) => ended(own, failedWith(11, 'tune', 'BadData', 'row 3: no text'))).run();
    expect(world.holding).toEqual(['Failed/BadData']);
  });

  it('is done when the pod is seen: its result is not lost', () => {
    const world = tune().start('tune').jobIs('tune', 'Complete', { reason: 'CompletionsReached' });
    world.connected = undefined;
    expect(world.run().status.phase).toBe('Running');
    expect(world.done('tune', 'a').run().holding).toEqual(['Complete/Complete']);
    expect(world.status.attempt).toBe(1);
  });

  it('is believed after ten seconds, and looked at again by then', () => {
    const world = tune().start('tune').jobIs('tune', 'Failed', { reason: 'BackoffLimitExceeded' });
    expect(world.decide().lookAgainMilliseconds).toBeLessThanOrEqual(10_100);
    expect(world.run().wait(10_100).run().status.phase).toBe('Failed');
  });
});

describe('a pod that failed', () => {
  it.each([
    [10, 'BadSpec', 'spec.training.maxLength: the answer of row 3 would be cut'],
    [11, 'BadData', 'train.jsonl, row 3: has no answer'],
    [12, 'BadModel', 'the bundle has another digest'],
    [13, 'GateFailed', 'plugInAboveFullZeroShot does not hold'],
    [14, 'EngineUnavailable', 'provider cuda: there is no GPU'],
  ])(
    'with exit code %i fails the resource with reason %s in the words of `offsite run`',
    (code, reason, text) => {
      const world = tune().podIs('tune', (own) => ended(own, failedWith(code, 'tune', reason, text)));
      world.jobIs('tune', 'Failed', { reason: 'PodFailurePolicy' }).run();
      expect(world.holding).toEqual([`Failed/${reason}`]);
      expect(world.message('Failed')).toBe(`stage tune (exit code ${code}): ${text}`);
      expect(world.events).toContain(`Warning ${reason}`);
      expect(world.status['completionTime']).toBeDefined();
    },
  );

  it('and is gone: the reason comes from the exit code in the Job', () => {
    const world = tune();
    const message =
      'Container worker for pod team/x failed with exit code 11 matching FailJob rule at index 0';
    world.jobIs('tune', 'Failed', { reason: 'PodFailurePolicy', message }).run();
    expect(world.holding).toEqual(['Failed/BadData']);
    expect(world.message('Failed')).toContain('stage tune (exit code 11)');
  });

  it('in one shard names it', () => {
    const world = new World(
      resource('EmulatorBuild', {
        spec: { probe: { data: { uri: 's3://b/p', format: 'text' }, shards: 2 } },
      }),
    ).run();
    const broken = pod(world.job('probe'), { name: 'b', shard: 1 });
    world.pods = [
      pod(world.job('probe'), { name: 'a', shard: 0 }),
      ended(broken, failedWith(11, 'probe', 'BadData', 'x')),
    ];
    world.jobIs('probe', 'Failed', { reason: 'PodFailurePolicy' }).run();
    expect(world.message('Failed')).toBe('stage probe, shard 1 (exit code 11): x');
  });

  it('and is tried again: a condition says why, until it is mended', () => {
    const world = tune().podIs('tune', (own) =>
      ended(own, failedWith(1, 'tune', 'NoSpace', 'the disk is full')),
    );
    world.run();
    expect(world.holding).toEqual(['Retrying/NoSpace']);
    expect(world.message('Retrying')).toBe(
      'stage tune (exit code 1): the disk is full; it is tried again (spec.backoffLimit 6)',
    );
    world.jobIs('tune', 'Failed', { reason: 'BackoffLimitExceeded' }).run();
    expect(world.holding).toEqual(['Failed/NoSpace']);
    expect(world.message('Failed')).toContain('tried again 6 times (spec.backoffLimit)');
  });

  it.each<[string, (own: Pod) => Pod]>([
    [
      'was evicted',
      (own) => withConditions(ended(own, { exitCode: 137 }), { type: 'DisruptionTarget', status: 'True' }),
    ],
    ['obeyed SIGTERM', (own) => ended(own, { exitCode: 143 })],
  ])('because it %s is no failure', (_, change) => {
    expect(tune().start('tune').run().podIs('tune', change).run().holding).toEqual([]);
  });

  it('at its memory limit fails the resource at once, with what it asked for and the limit', () => {
    const world = tune()
      .podIs('tune', (own) => oom(limited(own)))
      .run();
    expect(world.holding).toEqual(['Failed/OutOfMemory']);
    expect(world.message('Failed')).toBe(
      'stage tune: the container was killed at its memory limit of 6Gi, that a template or the cluster (a LimitRange) sets; ' +
        'it had asked for 6Gi: raise memory in spec.template.spec.containers[name=worker].resources, or lower spec.engine.memory',
    );
    expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
    expect(world.collect().run().status.phase).toBe('Failed');
  });

  it('above its request, at its limit or with its node, is tried again once', () => {
    const killed = (name: string) => (own: Pod) =>
      oom(limited({ ...own, metadata: { ...own.metadata, name, uid: name } }, '5Gi'));
    const world = tune().podIs('tune', killed('a')).run();
    expect(world.holding).toEqual(['Retrying/OutOfMemory']);
    expect(world.message('Retrying')).toBe(
      'stage tune: the container was killed for memory, at its limit of 6Gi, that a template or the cluster (a LimitRange) ' +
        'sets, or because node node-1 ran out of memory; it had asked for 5Gi: raise memory in spec.template.spec.containers[name=worker].resources, or lower ' +
        'spec.engine.memory; it is tried again (spec.backoffLimit 6)',
    );
    world.pods = [...world.pods, killed('b')(pod(world.job('tune')))];
    expect(world.run().holding).toEqual(['Failed/OutOfMemory']);
  });

  it('at the limit that the installation sets says so, that a model of others may be why, and what to raise', () => {
    const marked = (own: Pod, name = 'a') => {
      const metadata = {
        ...own.metadata,
        name,
        uid: name,
        annotations: { [annotation.defaultMemory]: '6Gi' },
      };
      return oom(limited({ ...own, metadata }, '5Gi'));
    };
    const world = tune().podIs('tune', marked).run();
    world.pods = [...world.pods, marked(pod(world.job('tune')), 'b')];
    expect(world.run().message('Failed')).toBe(
      'stage tune: the container was killed for memory, at its limit of 6Gi, that the installation sets where a template ' +
        "states none (the chart's worker.limitFactors.memory), or because node node-1 ran out of memory; it had asked " +
        'for 5Gi: where it is no model or bundle of others that is made to take so much, raise spec.engine.memory, by ' +
        'which the limit goes, or state a limit in spec.template.spec.containers[name=worker].resources',
    );
    // A LimitRange may have made another limit of it.
    const other = tune().podIs('tune', (own) => {
      const metadata = { ...own.metadata, annotations: { [annotation.defaultMemory]: '10Gi' } };
      return oom(limited({ ...own, metadata }));
    });
    expect(other.run().message('Failed')).toContain('that a template or the cluster (a LimitRange) sets');
  });

  it('because its node had no memory left is tried again, and says so', () => {
    const world = tune().podIs('tune', oom).run();
    expect(world.holding).toEqual(['Retrying/OutOfMemory']);
    expect(world.message('Retrying')).toContain(
      'node node-1 ran out of memory and killed the container; it had asked for 5Gi, without a limit',
    );
  });

  it('was evicted by a node under pressure, again and again: how often and why is told, and counted against nothing', () => {
    const message = 'The node was low on resource: memory.';
    const evicted = (name: string) => (own: Pod) => {
      const gone = ended({ ...own, metadata: { ...own.metadata, name, uid: name } }, { exitCode: 137 });
      const status = { ...gone.status, reason: 'Evicted', message };
      return withConditions({ ...gone, status }, { type: 'DisruptionTarget', status: 'True' });
    };
    const world = tune().podIs('tune', evicted('a')).run();
    expect(world.holding).toEqual(['Retrying/Evicted']);
    world.pods = [...world.pods, evicted('b')(pod(world.job('tune'))), pod(world.job('tune'))];
    expect(world.run().message('Retrying')).toBe(
      `stage tune: evicted from node node-1: ${message} (pod b); it is tried again, however often, 2 pods so far: ` +
        'if that goes on, ask for what it takes (resources.requests in spec.template), or give it nodes with more room',
    );
    expect(world.status.phase).toBe('Running');
  });

  it('was evicted for a limit of its own: it counts, and the kubelet says which', () => {
    const world = tune().podIs('tune', (own) => {
      const gone = ended(own, { exitCode: 137 });
      const message = 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".';
      return { ...gone, status: { ...gone.status, reason: 'Evicted', message } };
    });
    expect(world.run().holding).toEqual(['Retrying/Evicted']);
    expect(world.message('Retrying')).toMatch(/EmptyDir volume "tmp" exceeds.*spec.backoffLimit 6\)$/);
  });

  describe('because each is ended', () => {
    const stoppedAt = (minute: number, shard?: number) => (own: Pod) => {
      const name = `p${minute}`;
      const metadata = {
        ...own.metadata,
        ...{ name, uid: name },
        ...(shard !== undefined && {
          annotations: { 'batch.kubernetes.io/job-completion-index': String(shard) },
        }),
      };
      const message = {
        ok: false,
        stage: 'tune',
        reason: 'Cancelled',
        message: 'stopped; a checkpoint is saved',
      };
      const gone = ended({ ...own, metadata }, { exitCode: 143, message });
      Object.assign(gone.status!.containerStatuses![0]!.state!.terminated!, {
        finishedAt: `2026-01-01T00:${minute}:00Z`,
      });
      return gone;
    };

    it('again, without a reason of the cluster: how often is told, and counted against nothing', () => {
      const world = tune().podIs('tune', stoppedAt(10)).run();
      expect(world.holding).toEqual([]);
      for (const minute of [11, 12]) world.pods = [...world.pods, stoppedAt(minute)(pod(world.job('tune')))];
      expect(world.run().holding).toEqual(['Retrying/Cancelled']);
      expect(world.message('Retrying')).toBe(
        'stage tune (exit code 143): stopped; a checkpoint is saved; it is tried again, however often, 3 pods so far: ' +
          'if that goes on, look for what ends its pods (kubectl describe pod p12): a livenessProbe that fails, a controller, ' +
          'an image that ends so by itself',
      );
      expect(world.decide()).toMatchObject({ remove: [], create: [] });
    });

    it('once for each shard, or for its node: is nothing to tell', () => {
      const world = tune().run();
      const drained = (own: Pod) =>
        withConditions(stoppedAt(12, 0)(own), { type: 'DisruptionTarget', status: 'True' });
      const job = world.job('tune');
      world.pods = [stoppedAt(10, 0)(pod(job)), stoppedAt(11, 1)(pod(job)), drained(pod(job))];
      expect(world.run().holding).toEqual([]);
    });

    it('by a deadline in the template: that is refused, and points at the one that ends the work', () => {
      const spec = { template: { spec: { activeDeadlineSeconds: 60 } } };
      const world = new World(resource('EmulatorBuild', { spec })).run();
      expect(world.holding).toEqual(['Failed/BadSpec']);
      expect(world.message('Failed')).toBe(
        'spec.template.spec.activeDeadlineSeconds: ends each pod and never the work, since the next pod goes on: write spec.activeDeadlineSeconds, which ends it',
      );
      expect(world.jobs).toEqual([]);
      const begun = new World(resource('EmulatorBuild')).run();
      const changed = { ...begun.object, spec: { ...(begun.object['spec'] as object), ...spec } };
      begun.object = changed;
      // As an operator made it that did not ask.
      begun.jobs = begun.jobs.map(({ metadata, ...job }) => ({
        ...job,
        metadata: {
          ...metadata,
          annotations: { ...metadata.annotations, [annotation.run]: runHashOf(changed) },
        },
      }));
      expect(begun.run().holding).toEqual([]);
    });
  });

  it('was taken away before a node was found for it is no failure', () => {
    const world = tune().podIs('tune', (own) => {
      const { nodeName: _, ...spec } = own.spec!;
      return { ...unscheduled({ ...own, spec }, 'Insufficient cpu'), status: { phase: 'Failed' } };
    });
    expect(world.run().holding).toEqual([]);
  });

  it('without a word of its own still names exit code and pod', () => {
    const world = tune().podIs('tune', (own) =>
      ended(own, { exitCode: 139, reason: 'Error', message: 'Segmentation fault' }),
    );
    expect(world.run().message('Retrying')).toMatch(
      /^stage tune \(exit code 139\): Error: Segmentation fault \(pod words-tune-.*\);/,
    );
  });
});

it('a deadline that passed names its field', () => {
  const world = tune({ activeDeadlineSeconds: 600 });
  expect(world.job('tune').spec).toMatchObject({ activeDeadlineSeconds: 600 });
  world.jobIs('tune', 'Failed', { reason: 'DeadlineExceeded' }).run();
  expect(world.holding).toEqual(['Failed/DeadlineExceeded']);
  expect(world.message('Failed')).toContain('spec.activeDeadlineSeconds (600)');
});

describe('a failed gate', () => {
  const gates = [{ name: 'plugInAboveFullZeroShot', passed: false, message: 'acc 0.40 < 0.50' }];
  const failed = (reason = 'GateFailed') => {
    const world = new World(resource('PlugIn'));
    world.dependencies = {
      emulator: completed('EmulatorBuild', 'e'),
      adapter: completed('OffsiteTune', 'a'),
    };
    world.run().podIs('plug', (own) => ended(own, failedWith(13, 'plug', reason, 'does not hold')));
    return world.jobIs('plug', 'Failed', { reason: 'PodFailurePolicy' });
  };

  it('leaves the evaluation, the gates and the analyses in the status, also if they come late', () => {
    const analysis = [{ task: 'words', samples: 8, loss: '1.5000' }];
    for (const world of [failed(), failed().run()]) {
      world.results = { plug: { gates, evaluation: [], analysis } };
      expect(world.run().status).toMatchObject({ phase: 'Failed', gates, evaluation: [], analysis });
      expect(world.decide().status).toBeUndefined();
    }
  });

  it.each([
    ['of another failure', 'BadData', gates],
    ['in which every gate held', 'GateFailed', [{ ...gates[0], passed: true }]],
  ])('takes nothing from the report %s', (_, reason, older) => {
    const world = failed(reason);
    world.results = { plug: { gates: older, evaluation: [] } };
    expect(world.run().status).not.toHaveProperty('gates');
  });
});

describe('a container beside the worker', () => {
  const result = {
    exitCode: 0,
    reason: 'Completed',
    finishedAt: later(0),
    message: JSON.stringify(wordOf('a')),
  };
  const beside = (own: Pod, worker: object, sidecar: object, phase = 'Running'): Pod => ({
    ...own,
    status: {
      ...own.status,
      phase,
      containerStatuses: [
        { name: 'worker', state: worker },
        { name: 'proxy', state: sidecar },
      ],
    },
  });
  const runsOn = (own: Pod, terminated: object = result) => beside(own, { terminated }, { running: {} });
  const gone = { exitCode: 3, reason: 'Error', message: 'no route\n' };

  it('that runs on after the worker is told, then ended: the result counts', () => {
    const world = tune().podIs('tune', (own) => runsOn(own));
    world.results = {
      tune: { artifact: artifact('a', 'pvc://artifacts/words-adapter'), training: { steps: 1 } },
    };
    expect(world.run().holding).toEqual([]);
    expect(world.decide().lookAgainMilliseconds).toBe(15_100);
    expect(world.wait(15_100).run().holding).toEqual(['Waiting/SidecarRunning']);
    expect(world.message('Waiting')).toMatch(
      /^pod words-tune-.*: the worker ended with exit code 0 at 2026-.*, and container proxy runs on, .* native sidecar/,
    );
    expect(world.status.phase).toBe('Running');
    expect(world.decide().lookAgainMilliseconds).toBe(45_000);
    world.wait(45_000).run();
    expect(world.status).toMatchObject({ phase: 'Complete', artifact: { digest: digestOf('a') } });
    expect(world.message('Complete')).toMatch(
      /^every stage is done; beside the worker of pod .*, container proxy ran on/,
    );
    expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
    expect(world.collect().run().status).toMatchObject({ phase: 'Complete', attempt: 1 });
  });

  it.each([
    [11, 'BadData', 'row 3 has no answer'],
    [1, 'StoreUnavailable', 'the store is away'],
  ])(
    'that runs on after a worker that failed with %i: the failure is told, and the pods end',
    (exitCode, reason, text) => {
      const message = JSON.stringify({ ok: false, stage: 'tune', reason, message: text, exitCode });
      const world = tune().podIs('tune', (own) => runsOn(own, { exitCode, message, finishedAt: later(0) }));
      expect(world.wait(60_000).run().holding).toEqual([`Failed/${reason}`]);
      expect(world.message('Failed')).toMatch(
        new RegExp(
          `^stage tune \\(exit code ${exitCode}\\): ${text}; container proxy of pod .* ran on, so that no other was tried`,
        ),
      );
      expect(world.job('tune').metadata.deletionTimestamp).toBeDefined();
    },
  );

  it('that fails after the worker had done its part costs nothing, and is named', () => {
    const world = tune().podIs('tune', (own) =>
      beside(own, { terminated: result }, { terminated: gone }, 'Failed'),
    );
    world.connected = undefined;
    expect(world.run().status).toMatchObject({ phase: 'Complete', artifact: { digest: digestOf('a') } });
    expect(world.message('Complete')).toContain(
      'container proxy ended with exit code 3: Error: no route: make it',
    );
  });

  it('that fails before the worker has begun is named with its code and message', () => {
    const world = tune().podIs('tune', (own) => ({
      ...beside(own, { waiting: { reason: 'PodInitializing' } }, { waiting: {} }, 'Failed'),
      status: {
        ...own.status,
        phase: 'Failed',
        initContainerStatuses: [{ name: 'fetch', state: { terminated: gone } }],
      },
    }));
    expect(world.run().holding).toEqual(['Retrying/PodFailed']);
    expect(world.message('Retrying')).toMatch(
      /^stage tune: init container fetch ended with exit code 3: Error: no route \(pod words-tune-.*\); it is tried again/,
    );
  });

  it('that must end before the worker begins, and takes long, is named; a native sidecar is none', () => {
    const preparing = (restartPolicy?: string) => (own: Pod) => ({
      ...waitingFor(own, 'PodInitializing'),
      spec: { ...own.spec, initContainers: [{ name: 'fetch', ...(restartPolicy && { restartPolicy }) }] },
      status: {
        ...waitingFor(own, 'PodInitializing').status,
        initContainerStatuses: [{ name: 'fetch', state: { running: { startedAt: later(0) } } }],
      },
    });
    const world = tune().podIs('tune', preparing()).run();
    expect(world.holding).toEqual([]);
    expect(world.wait(30_000).run().holding).toEqual(['Waiting/InitContainerRunning']);
    expect(world.message('Waiting')).toContain('init container fetch runs since');
    expect(tune().podIs('tune', preparing('Always')).wait(60_000).run().holding).toEqual([]);
  });

  it('that is a native sidecar and fails again and again is named', () => {
    const world = tune().podIs('tune', (own) => ({
      ...waitingFor(own, 'PodInitializing'),
      status: {
        ...waitingFor(own, 'PodInitializing').status,
        initContainerStatuses: [
          {
            name: 'mesh',
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: gone },
          },
        ],
      },
    }));
    expect(world.run().holding).toEqual(['Waiting/ContainerFailing']);
    expect(world.message('Waiting')).toContain(
      'container mesh ended with exit code 3: Error: no route, again and again',
    );
  });

  it('in a shard: the stage goes on when every shard is done, and the Job that does not end goes then', () => {
    const probe = { data: { uri: 's3://b/p', format: 'text' }, shards: 2 };
    const world = new World(resource('EmulatorBuild', { spec: { probe } })).run();
    const shard = (index: number) => pod(world.job('probe'), { name: `p${index}`, shard: index });
    world.pods = [runsOn(shard(0)), shard(1)];
    expect(world.wait(60_000).run().holding).toEqual(['Waiting/SidecarRunning']);
    expect(world.jobs).toHaveLength(1);
    world.pods = [runsOn(shard(0)), runsOn(shard(1))];
    world.run();
    expect(world.job('probe').metadata.deletionTimestamp).toBeDefined();
    expect(world.job('assemble').metadata.deletionTimestamp).toBeUndefined();
    expect(world.collect().run().status).toMatchObject({ phase: 'Running', attempt: 1 });
  });
});

function wordOf(character: string) {
  return { ok: true, stage: 'tune', artifact: artifact(character, 'pvc://artifacts/words-adapter') };
}

describe('tries', () => {
  const probed = (shards: number) =>
    new World(
      resource('EmulatorBuild', {
        spec: { backoffLimit: 2, probe: { data: { uri: 's3://b/p', format: 'text' }, shards } },
      }),
    ).run();

  it('are counted for each shard, so that what fails all of them at once is one failure of each', () => {
    const { spec } = probed(64).job('probe');
    expect(spec).toMatchObject({ backoffLimitPerIndex: 2, maxFailedIndexes: 0 });
    expect(spec).not.toHaveProperty('backoffLimit');
    expect(tune({ backoffLimit: 2 }).job('tune').spec).toMatchObject({ backoffLimit: 2 });
  });

  it.each(['MaxFailedIndexesExceeded', 'FailedIndexes'])(
    'that are used up (%s) name shard and field',
    (reason) => {
      const world = probed(2);
      const broken = pod(world.job('probe'), { name: 'b', shard: 1 });
      world.pods = [ended(broken, failedWith(1, 'probe', 'StoreUnavailable', 'the store is away'))];
      expect(world.run().message('Retrying')).toBe(
        'stage probe, shard 1 (exit code 1): the store is away; it is tried again (spec.backoffLimit 2, for each shard)',
      );
      world.jobIs('probe', 'Failed', { reason }).run();
      expect(world.holding).toEqual(['Failed/StoreUnavailable']);
      expect(world.message('Failed')).toBe(
        'stage probe, shard 1 (exit code 1): the store is away; tried again 2 times (spec.backoffLimit, for each shard)',
      );
    },
  );
});

it('a pod that pulls for long is looked at less and less often, though it is not ready', () => {
  const ready = {
    type: 'Ready',
    status: 'False',
    reason: 'ContainersNotReady',
    lastTransitionTime: later(0),
  };
  const world = tune().podIs('tune', (own) => withConditions(waitingFor(own, 'ContainerCreating'), ready));
  expect(world.run().decide().lookAgainMilliseconds).toBe(10_100);
  expect(world.wait(120_000).run().decide().lookAgainMilliseconds).toBe(60_100);
  expect(world.wait(3_600_000).run().decide().lookAgainMilliseconds).toBe(300_100);
});

describe('another queue', () => {
  const queue = 'kueue.x-k8s.io/queue-name';
  const relabelled = (world: World, labels: Record<string, string>) => {
    world.object = { ...world.object, metadata: { ...world.object.metadata, labels } };
    return world.run();
  };

  it.each<[string, Record<string, string>]>([
    ['named', { [queue]: 'b' }],
    ['no longer named', {} as Record<string, string>],
  ])('%s while the Job waits: it is made again, for that', (_, labels) => {
    const world = relabelled(tune({}, { [queue]: 'a' }), labels);
    expect(world.status.attempt).toBe(2);
    expect(world.collect().run().job('tune').metadata.labels?.[queue]).toBe(labels[queue]);
    expect(world.job('tune').spec?.suspend).toBe(labels[queue] === undefined ? undefined : true);
  });

  it('named while it runs, or given to the Job by hand: it goes on', () => {
    const running = tune({}, { [queue]: 'a' });
    running.jobs = running.jobs.map((job) => ({ ...job, spec: { ...job.spec, suspend: false } }));
    expect(relabelled(running.start('tune'), { [queue]: 'b' }).status.attempt).toBe(1);
    const moved = tune({}, { [queue]: 'a' });
    moved.jobs = moved.jobs.map((job) => ({
      ...job,
      metadata: { ...job.metadata, labels: { ...job.metadata.labels, [queue]: 'c' } },
    }));
    expect(moved.run().status.attempt).toBe(1);
  });
});
