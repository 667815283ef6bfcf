import { describe, expect, it } from 'vitest';
import { runHashOf } from '../../../../../operator/jobs/identity.ts';
import type { JobSettings } from '../../../../../operator/jobs/index.ts';
import { jobName } from '../../../../../operator/jobs/names.ts';
import { hashOfSpec, type Kind } from '../../../../../src/api/index.ts';
import { completed, digestOf, resource, World } from '../../../../support/unit/operator/fixtures.ts';

interface Container {
  name: string;
  image: string;
  env: { name: string; value: string }[];
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[];
  [field: string]: unknown;
}
interface PodSpec {
  containers: Container[];
  volumes: { name: string; [source: string]: unknown }[];
  [field: string]: unknown;
}
type Template = {
  metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
  spec: PodSpec;
};

function jobOf(
  kind: Kind,
  spec: object = {},
  annotations: Record<string, string> = {},
  settings: Partial<JobSettings> = {},
) {
  const world = new World(resource(kind, { spec, annotations }));
  world.settings = { ...world.settings, ...settings };
  world.dependencies = {
    emulator: completed('EmulatorBuild', 'e'),
    adapter: completed('OffsiteTune', 'a'),
    start: completed('OffsiteTune', 's'),
  };
  const [job] = world.run().jobs;
  if (!job) throw new Error(world.message('Failed') ?? world.message('Waiting') ?? 'no Job');
  const template = job.spec?.['template'] as Template;
  const [worker] = template.spec.containers;
  if (worker?.name !== 'worker') throw new Error('the first container is another');
  const mounts = worker.volumeMounts.map(({ mountPath, readOnly }) => `${mountPath}${readOnly ? ' ro' : ''}`);
  const text = worker.env.find(({ name }) => name === 'OFFSITE_JOB')?.value ?? '';
  return { job, template, pod: template.spec, worker, mounts, input: JSON.parse(text) };
}

/** As pods see a key: that file of its Secret and no other. */
const keyVolume = (i: number, file: string) => ({
  name: `offsite-key-${i}`,
  secret: { secretName: 'own', items: [{ key: file, path: file }], defaultMode: 0o440 },
});

const container = (worker: object) => ({
  template: { spec: { containers: [{ name: 'worker', ...worker }] } },
});

describe('a stage sees its own places and nothing else', () => {
  const fixed = ['/scratch', '/tmp'];
  it('probe: model and probe set, read-only; the output', () => {
    expect(jobOf('EmulatorBuild').mounts).toEqual([
      ...fixed,
      '/mnt/claims/artifacts',
      '/mnt/claims/data ro',
      '/mnt/claims/models ro',
      '/etc/offsite/nats ro',
    ]);
  });

  it('tune: bundle and private rows; a claim that is read and written is mounted once, for writing', () => {
    expect(jobOf('OffsiteTune').mounts).toEqual([
      ...fixed,
      '/mnt/claims/artifacts',
      '/mnt/claims/private ro',
      '/etc/offsite/nats ro',
    ]);
  });

  it("the work's place where it names one: written, with its Secret; probe then only reads the output's claim", () => {
    const work = { uri: 's3://private/work', secretRef: { name: 'private' } };
    expect(jobOf('EmulatorBuild', { work }).mounts).toEqual([
      ...fixed,
      '/mnt/claims/artifacts ro',
      '/mnt/claims/data ro',
      '/mnt/claims/models ro',
      '/etc/offsite/secrets/private ro',
      '/etc/offsite/nats ro',
    ]);
    expect(jobOf('OffsiteTune', { work: { uri: 'pvc://scratch/here' } }).mounts).toEqual([
      ...fixed,
      '/mnt/claims/artifacts',
      '/mnt/claims/private ro',
      '/mnt/claims/scratch',
      '/etc/offsite/nats ro',
    ]);
  });

  it('secrets by reference, also the one by which the other resource wrote its artifact', () => {
    const emulator = completed('EmulatorBuild', 'e', {
      spec: { output: { uri: 's3://bundles/words', secretRef: { name: 'bundles.s3' } } },
    });
    const world = new World(
      resource('OffsiteTune', {
        spec: {
          data: { uri: 's3://rows/t', format: 'text', secretRef: { name: 'rows' } },
          output: { uri: 's3://out/a' },
        },
      }),
    );
    world.dependencies = { emulator };
    const template = world.run().job('tune').spec?.['template'] as Template;
    const volumes = template.spec.volumes.filter(({ secret }) => secret);
    expect(volumes).toMatchObject([
      { secret: { secretName: 'bundles.s3' } },
      { secret: { secretName: 'rows' } },
      { secret: { secretName: expect.stringMatching(/^words-tune-.*-nats$/), optional: true } },
    ]);
    expect(template.spec.containers[0]?.volumeMounts).toContainEqual({
      name: 'offsite-secret-0',
      mountPath: '/etc/offsite/secrets/bundles.s3',
      readOnly: true,
    });
  });

  it('keys that sign and that check: one file of each Secret, in the stage that seals, and nothing in one that prepares', () => {
    const output = { uri: 'pvc://artifacts/out', signingKeyRef: { name: 'own' } };
    const work = { uri: 'pvc://work/here' };
    const keysIn = ({ template }: ReturnType<typeof jobOf>) =>
      (template as Template).spec.volumes.filter(({ name }) => name.startsWith('offsite-key-'));
    expect(keysIn(jobOf('EmulatorBuild', { output, work }))).toEqual([]);
    expect(keysIn(jobOf('EmulatorBuild', { output: { ...output, uri: 's3://a/b' } }))).toHaveLength(1);
    const signers = [
      { name: 'owner', publicKeyRef: { name: 'own' } },
      { name: 'other', publicKey: '-----BEGIN PUBLIC KEY-----AA-----END PUBLIC KEY-----' },
    ];
    const emulator = { ref: { name: 'words' }, signer: 'owner' };
    const start = { ref: { name: 'words' }, signer: 'other' };
    const made = jobOf('OffsiteTune', { output, work, signers, emulator, start });
    expect(keysIn(made)).toEqual([keyVolume(0, 'private.pem'), keyVolume(1, 'public.pem')]);
    expect(made.mounts).toEqual(
      expect.arrayContaining(['/etc/offsite/keys/private/own ro', '/etc/offsite/keys/public/own ro']),
    );
    expect(made.mounts).not.toContain('/etc/offsite/secrets/own ro');
  });

  it('and is told what to do, without the template', () => {
    const { input } = jobOf('PlugIn', container({ env: [{ name: 'A', value: 'b' }] }));
    expect(input).toMatchObject({
      stage: 'plug',
      resource: {
        apiVersion: 'offsite-tuning.dev/v1alpha1',
        kind: 'PlugIn',
        metadata: { name: 'words', namespace: 'team', uid: 'uid-PlugIn', generation: 1 },
        spec: { model: { uri: 'pvc://models/smollm2' } },
      },
      emulator: { uri: 'pvc://artifacts/words-emulator', digest: digestOf('e') },
      adapter: { digest: digestOf('a') },
    });
    expect(input.resource.spec).not.toHaveProperty('template');
  });
});

describe('whom pods ask beside their addresses', () => {
  const valuesOf = (name: string, env: object[] = []) =>
    jobOf('OffsiteTune', container({ env })).worker.env.filter((entry) => entry.name === name);

  it("not the engine's maker, whatever a template says", () => {
    const off = { name: 'ORT_DISABLE_TELEMETRY', value: '1' };
    expect(valuesOf('ORT_DISABLE_TELEMETRY')).toEqual([off]);
    expect(valuesOf('ORT_DISABLE_TELEMETRY', [{ ...off, value: '0' }])).toEqual([off]);
  });

  it("not the node's metadata service for keys, unless a template says so", () => {
    const off = { name: 'AWS_EC2_METADATA_DISABLED', value: 'true' };
    const on = { ...off, value: 'false' };
    expect(valuesOf('AWS_EC2_METADATA_DISABLED')).toEqual([off]);
    expect(valuesOf('AWS_EC2_METADATA_DISABLED', [on])).toEqual([on]);
  });
});

it('labels and annotations of the templates go on the Job and its pods, but for those that Kubernetes acts on', () => {
  const metadata = {
    labels: {
      'cost-centre': '17',
      team: 'a',
      'kueue.x-k8s.io/queue-name': 'q',
      'offsite-tuning.dev/attempt': '9',
    },
    annotations: { note: 'x', 'offsite-tuning.dev/run-hash': 'y', 'batch.kubernetes.io/job-tracking': '' },
  };
  const installed = { templates: [{ metadata: { labels: { team: 'b', region: 'eu' } } }] };
  const { job, template } = jobOf('EmulatorBuild', { template: { metadata } }, {}, installed);
  for (const { labels } of [job.metadata, template.metadata])
    expect(labels).toMatchObject({
      'cost-centre': '17',
      team: 'a',
      region: 'eu',
      'offsite-tuning.dev/attempt': '1',
    });
  expect(job.metadata.labels).not.toHaveProperty('kueue.x-k8s.io/queue-name');
  expect(job.spec).not.toHaveProperty('suspend');
  expect(job.metadata.annotations).toMatchObject({ note: 'x' });
  expect(job.metadata.annotations?.['offsite-tuning.dev/run-hash']).toMatch(/^[0-9a-f]{64}$/);
  expect(job.metadata.annotations).not.toHaveProperty('batch.kubernetes.io/job-tracking');
});

describe('the hosts that pods may ask', () => {
  const hostsIn = (httpsHosts: string[], env: object[] = []) =>
    jobOf('EmulatorBuild', container({ env }), {}, { httpsHosts }).worker.env.filter(
      ({ name }) => name === 'OFFSITE_HTTPS_HOSTS',
    );
  const named = (value: string) => ({ name: 'OFFSITE_HTTPS_HOSTS', value });

  it('are told to every pod, and no template says otherwise', () => {
    for (const kind of ['EmulatorBuild', 'OffsiteTune', 'PlugIn'] as const)
      expect(jobOf(kind, {}, {}, { httpsHosts: ['a.example.com'] }).worker.env).toContainEqual(
        named('a.example.com'),
      );
    expect(hostsIn(['a.example.com', '*.hf.co'], [named('evil.example.com')])).toEqual([
      named('a.example.com,*.hf.co'),
    ]);
  });

  it('are any where the installation names none', () => {
    expect(hostsIn([])).toEqual([]);
    expect(hostsIn([], [named('a.example.com')])).toEqual([named('a.example.com')]);
  });
});

describe('the Job', () => {
  it('fails, ignores and retries in this order, and replaces a pod only when it has ended', () => {
    const { job, pod } = jobOf('OffsiteTune', { backoffLimit: 2 });
    expect(job.spec).toMatchObject({
      backoffLimit: 2,
      podReplacementPolicy: 'Failed',
      podFailurePolicy: {
        rules: [
          {
            action: 'FailJob',
            onExitCodes: { containerName: 'worker', values: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19] },
          },
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          { action: 'Ignore', onExitCodes: { values: [143] } },
          { action: 'Ignore', onPodConditions: [{ type: 'PodScheduled', status: 'False' }] },
        ],
      },
    });
    expect(pod['restartPolicy']).toBe('Never');
    expect(job.spec).not.toHaveProperty('ttlSecondsAfterFinished');
    expect(job.spec).not.toHaveProperty('suspend');
  });

  it('belongs to its resource', () => {
    expect(jobOf('OffsiteTune').job.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'offsite-tuning.dev/v1alpha1',
        kind: 'OffsiteTune',
        name: 'words',
        uid: 'uid-OffsiteTune',
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
  });

  it('meets the restricted Pod Security standard, whatever the template says', () => {
    const template = {
      spec: {
        restartPolicy: 'Always',
        automountServiceAccountToken: true,
        securityContext: { runAsNonRoot: false, runAsUser: 1000, supplementalGroups: [7] },
        containers: [
          {
            name: 'worker',
            securityContext: {
              privileged: true,
              capabilities: { add: ['SYS_ADMIN'] },
              readOnlyRootFilesystem: false,
            },
          },
        ],
      },
    };
    const { pod, worker } = jobOf('OffsiteTune', { template });
    expect(pod).toMatchObject({
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1000,
        runAsGroup: 65532,
        fsGroup: 65532,
        supplementalGroups: [7],
        seccompProfile: { type: 'RuntimeDefault' },
      },
    });
    expect(worker['securityContext']).toEqual({
      allowPrivilegeEscalation: false,
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  it.each([
    ['by default', {}, '50'],
    ['for long, where the template gives long', { terminationGracePeriodSeconds: 600 }, '590'],
    ['for less, where it gives less', { terminationGracePeriodSeconds: 15 }, '7'],
    [
      "for Kubernetes' own half a minute, where it takes ours away",
      { terminationGracePeriodSeconds: null },
      '20',
    ],
  ])('lets a worker save its work %s, and leaves before it is killed', (_, spec, seconds) => {
    const { worker } = jobOf('OffsiteTune', { template: { spec } });
    expect(worker.env).toContainEqual({ name: 'OFFSITE_GRACE_SECONDS', value: seconds });
  });

  it("merges the installation's templates and the resource's by names, each over those before it", () => {
    const worker = (fields: object) => ({ spec: { containers: [{ name: 'worker', ...fields }] } });
    const env = (...values: string[]) => values.map((name) => ({ name, value: name }));
    const templates = [
      worker({ env: env('A', 'B'), volumeMounts: [{ name: 'ca', mountPath: '/ca' }] }),
      {
        spec: { containers: [{ name: 'proxy', image: 'proxy:1' }], volumes: [{ name: 'ca', configMap: {} }] },
      },
      worker({ resources: { limits: { memory: '8Gi' } } }),
    ];
    const template = worker({ env: [{ name: 'B', value: 'mine' }] });
    const made = jobOf('OffsiteTune', { template }, {}, { templates });
    expect(made.worker.env).toEqual(
      expect.arrayContaining([
        { name: 'A', value: 'A' },
        { name: 'B', value: 'mine' },
      ]),
    );
    expect(made.worker.resources.limits).toEqual({ memory: '8Gi' });
    expect(made.mounts).toContain('/ca');
    expect(made.pod.containers.map(({ name }) => name)).toEqual(['worker', 'proxy']);
    expect(made.pod.volumes).toContainEqual({ name: 'ca', configMap: {} });
  });

  it("takes away by a null what was said before: the installation's, and the operator's own", () => {
    const user = { runAsUser: null, runAsGroup: null, fsGroup: null };
    const templates = [{ spec: { priorityClassName: 'low', securityContext: user } }];
    const template = { spec: { priorityClassName: null, enableServiceLinks: null } };
    const { pod } = jobOf('OffsiteTune', { template }, {}, { templates });
    expect(pod).not.toHaveProperty('priorityClassName');
    expect(pod).not.toHaveProperty('enableServiceLinks');
    expect(pod['securityContext']).toEqual({
      fsGroupChangePolicy: 'OnRootMismatch',
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    const cuda = { template: { spec: { tolerations: null } }, engine: { provider: 'cuda' } };
    expect(jobOf('OffsiteTune', cuda).pod).not.toHaveProperty('tolerations');
    // What must be so stays.
    const must = { template: { spec: { restartPolicy: null, securityContext: null } } };
    expect(jobOf('OffsiteTune', must).pod).toMatchObject({
      restartPolicy: 'Never',
      securityContext: { runAsNonRoot: true },
    });
  });

  it('keeps what the template says beyond that, also fields that are not known here', () => {
    const template = {
      metadata: { labels: { team: 'a', 'app.kubernetes.io/name': 'x' }, annotations: { note: 'n' } },
      spec: {
        tolerations: [{ key: 'spot', operator: 'Exists' }],
        imagePullSecrets: [{ name: 'registry' }],
        runtimeClassName: 'nvidia',
        nodeSelector: { zone: 'z' },
        fieldOfTheFuture: { deep: [1] },
        containers: [
          {
            name: 'worker',
            image: 'mine:2',
            env: [
              { name: 'A', value: 'b' },
              { name: 'OFFSITE_JOB', value: '{}' },
            ],
            newField: 1,
          },
          { name: 'side', image: 'side:1' },
        ],
        volumes: [
          { name: 'scratch', ephemeral: { volumeClaimTemplate: {} } },
          { name: 'extra', configMap: { name: 'c' } },
        ],
      },
    };
    const { template: made, pod, worker, input } = jobOf('OffsiteTune', { template });
    expect(made.metadata.labels).toMatchObject({ team: 'a', 'app.kubernetes.io/name': 'offsite-tuning' });
    expect(made.metadata.annotations).toEqual({ note: 'n' });
    expect(pod).toMatchObject({
      tolerations: [{ key: 'spot', operator: 'Exists' }],
      imagePullSecrets: [{ name: 'registry' }],
      runtimeClassName: 'nvidia',
      nodeSelector: { zone: 'z' },
      fieldOfTheFuture: { deep: [1] },
    });
    expect(worker).toMatchObject({ image: 'mine:2', newField: 1 });
    expect(worker.env).toContainEqual({ name: 'A', value: 'b' });
    expect(input).toMatchObject({ stage: 'tune', attempt: 1 });
    expect(pod.containers.map(({ name }) => name)).toEqual(['worker', 'side']);
    expect(pod.volumes).toContainEqual({ name: 'scratch', ephemeral: { volumeClaimTemplate: {} } });
    expect(pod.volumes.filter(({ name }) => name === 'scratch')).toHaveLength(1);
  });
});

describe('requests', () => {
  const requests = (spec: object, annotations?: Record<string, string>, kind: Kind = 'EmulatorBuild') =>
    jobOf(kind, spec, annotations).worker.resources;

  it('come from threads and the memory budget', () => {
    expect(requests({ engine: { threads: 4, memory: '16Gi' } })).toEqual({
      requests: { cpu: '4', memory: '17Gi', 'ephemeral-storage': '1Gi' },
      limits: {},
    });
    expect(requests({}).requests).toMatchObject({ cpu: '2', memory: '5Gi' });
  });

  it('are smaller for a model that is known to be small, except where the budget is filled', () => {
    const size = { 'offsite-tuning.dev/model-size': '512Mi' };
    expect(requests({}, size).requests['memory']).toBe('2560Mi');
    expect(requests({}, size, 'OffsiteTune').requests['memory']).toBe('5Gi');
  });

  it('have scratch for what comes and goes over the network', () => {
    const output = { uri: 's3://b/out' };
    const disk = (spec: object, annotations = {}) =>
      requests({ output, ...spec }, annotations).requests['ephemeral-storage'];
    // Of assemble: what has no place of its own is on the pod's disk too.
    expect(disk({})).toBe('25Gi');
    const size = { 'offsite-tuning.dev/model-size': '2Gi' };
    expect(disk({ model: { uri: 'hf://a/b' } }, size)).toBe('9Gi');
    // Of probe: the states alone.
    expect(disk({ work: { uri: 'pvc://work/here' } })).toBe('1Gi');
    expect(disk({ work: { uri: 's3://b/work' } })).toBe('5Gi');
  });

  it.each([
    ['nothing: one GPU', {}, { 'nvidia.com/gpu': '1' }],
    ['two GPUs', { limits: { 'nvidia.com/gpu': '2' } }, { 'nvidia.com/gpu': '2' }],
    ['a MIG slice', { limits: { 'nvidia.com/mig-1g.10gb': 1 } }, { 'nvidia.com/mig-1g.10gb': 1 }],
    ['a shared GPU', { requests: { 'nvidia.com/gpu.shared': '1' } }, undefined],
    ['a resource claim', { claims: [{ name: 'gpu' }] }, undefined],
    ['no claim at all', { claims: [] }, { 'nvidia.com/gpu': '1' }],
  ])('of provider cuda, where the template asks for %s', (_, resources, limits) => {
    const { worker, pod } = jobOf('EmulatorBuild', {
      engine: { provider: 'cuda' },
      ...container({ resources }),
    });
    expect(worker.image).toBe('worker:1-cuda');
    expect(worker.resources.limits).toEqual(limits ?? {});
    const gpus = Object.keys(worker.resources.requests).filter((name) => name.startsWith('nvidia.com/'));
    expect(gpus).toHaveLength(limits === undefined && !('requests' in resources) ? 0 : 1);
    expect(pod['tolerations']).toEqual([{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }]);
  });

  /** What a pod asks of its node with a provider, and what the installation says of that. */
  const gpuOf = (provider: string, resource?: string, template: object = {}) => {
    const gpu = { [provider]: { image: 'gpu:1', ...(resource !== undefined && { resource }) } };
    const { worker, pod } = jobOf('EmulatorBuild', { engine: { provider }, ...template }, {}, { gpu });
    const variable = worker.env.find(({ name }) => name === 'NVIDIA_DRIVER_CAPABILITIES');
    const tolerations = (pod['tolerations'] ?? []) as { key: string; effect: string }[];
    return {
      limits: worker.resources.limits,
      keys: tolerations.map(({ key }) => key),
      capabilities: variable?.value,
    };
  };

  it.each([
    ['cuda', undefined, 'nvidia.com/gpu', 'nvidia.com/gpu', 'compute,utility'],
    ['cuda', 'nvidia.com/mig-1g.10gb', 'nvidia.com/mig-1g.10gb', 'nvidia.com/gpu', 'compute,utility'],
    ['webgpu', 'nvidia.com/gpu', 'nvidia.com/gpu', 'nvidia.com/gpu', 'compute,utility,graphics'],
    ['webgpu', 'amd.com/gpu', 'amd.com/gpu', 'amd.com/gpu', undefined],
    ['webgpu', 'gpu.intel.com/i915', 'gpu.intel.com/i915', 'gpu.intel.com/i915', undefined],
    ['webgpu', 'gpu.intel.com/xe', 'gpu.intel.com/xe', 'gpu.intel.com/xe', undefined],
    // Of whom no resource is known: a claim may be for any vendor's.
    ['webgpu', undefined, undefined, undefined, 'compute,utility,graphics'],
    ['cuda', '', undefined, undefined, 'compute,utility'],
  ])(
    'of provider %s with %s: the device, its taint, and the parts of the driver',
    (provider, resource, limit, key, capabilities) => {
      expect(gpuOf(provider, resource)).toEqual({
        limits: limit === undefined ? {} : { [limit]: '1' },
        keys: key === undefined ? [] : [key],
        capabilities,
      });
    },
  );

  it('of a provider without a GPU are none, whatever is said of the others', () => {
    const gpu = { cuda: { image: 'gpu:1' }, webgpu: { image: 'gpu:1', resource: 'amd.com/gpu' } };
    const { worker, pod } = jobOf('EmulatorBuild', {}, {}, { gpu });
    expect(worker.image).toBe('worker:1');
    expect(worker.resources.limits).toEqual({});
    expect(pod).not.toHaveProperty('tolerations');
    expect(JSON.stringify(worker.env)).not.toContain('NVIDIA');
  });

  it('a claim of DRA takes the place of the device that the installation names, and comes to the pod whole', () => {
    const resourceClaims = [{ name: 'gpu', resourceClaimTemplateName: 'one-gpu' }];
    const containers = [{ name: 'worker', resources: { claims: [{ name: 'gpu', request: 'device' }] } }];
    const template = { template: { spec: { resourceClaims, containers } } };
    expect(gpuOf('webgpu', 'gpu.intel.com/xe', template).limits).toEqual({});
    const { worker, pod } = jobOf('EmulatorBuild', { engine: { provider: 'cuda' }, ...template });
    expect(pod['resourceClaims']).toEqual(resourceClaims);
    expect(worker.resources).toMatchObject({ claims: [{ name: 'gpu', request: 'device' }], limits: {} });
    expect(Object.keys(worker.resources.requests)).not.toContain('nvidia.com/gpu');
    // A resource that claims another by the same name has its own.
    const templates = [{ spec: { resourceClaims: [{ name: 'gpu', resourceClaimName: 'ours' }] } }];
    const own = jobOf('EmulatorBuild', { engine: { provider: 'cuda' }, ...template }, {}, { templates });
    expect(own.pod['resourceClaims']).toEqual(resourceClaims);
  });

  it('of cuda is float32 as it is, and not TF32, unless the template asks for it', () => {
    const tf32 = (spec: object) =>
      jobOf('EmulatorBuild', spec).worker.env.find(({ name }) => name === 'NVIDIA_TF32_OVERRIDE')?.value;
    expect(tf32({ engine: { provider: 'cuda' } })).toBe('0');
    expect(tf32({ engine: { provider: 'webgpu' } })).toBeUndefined();
    const env = [{ name: 'NVIDIA_TF32_OVERRIDE', value: '1' }];
    expect(tf32({ engine: { provider: 'cuda' }, ...container({ env }) })).toBe('1');
  });

  it('the parts of the driver give way to the template', () => {
    const env = [{ name: 'NVIDIA_DRIVER_CAPABILITIES', value: 'all' }];
    expect(gpuOf('webgpu', undefined, container({ env })).capabilities).toBe('all');
  });

  it('give way to the template, and a limit alone is the request too', () => {
    const resources = { requests: { cpu: '500m' }, limits: { memory: '2Gi' } };
    expect(requests(container({ resources }))).toEqual({
      requests: { cpu: '500m', memory: '2Gi', 'ephemeral-storage': '1Gi' },
      limits: { memory: '2Gi' },
    });
  });
});

describe('limits where no template states one', () => {
  const factors = { memory: 2, ephemeralStorage: 0 };
  const made = (
    spec: object,
    { annotations = {}, limitFactors = factors, templates = [] as object[], kind = 'PlugIn' as Kind } = {},
  ) => jobOf(kind, spec, annotations, { limitFactors, templates: templates as JobSettings['templates'] });
  const limits = (...of: Parameters<typeof made>) => made(...of).worker.resources.limits;

  it.each([
    ['4Gi and 1Gi by default, twice', {}, factors, { memory: '10Gi' }],
    ['what the engine is given', { engine: { memory: '16Gi' } }, factors, { memory: '34Gi' }],
    ['2Gi more at least', { engine: { memory: '256Mi' } }, factors, { memory: '3328Mi' }],
    ['once', { engine: { memory: '256Mi' } }, { ...factors, memory: 1 }, { memory: '1280Mi' }],
    ['one and a half times', {}, { ...factors, memory: 1.5 }, { memory: '7680Mi' }],
    ['none', {}, { memory: 0, ephemeralStorage: 0 }, {}],
    ['the disk alone', {}, { memory: 0, ephemeralStorage: 3 }, { 'ephemeral-storage': '5Gi' }],
  ])('are of memory, and of the disk where that is asked: %s', (_, spec, limitFactors, right) => {
    // What it works with lies in a claim.
    const work = { work: { uri: 'pvc://work/here' } };
    expect(limits({ ...work, ...spec }, { limitFactors })).toEqual(right);
  });

  it('are not lower for a model that is known to be small: the computation may take what it is given', () => {
    const annotations = { 'offsite-tuning.dev/model-size': '512Mi' };
    const { requests, limits } = made({}, { annotations }).worker.resources;
    expect([requests['memory'], limits['memory']]).toEqual(['2560Mi', '10Gi']);
  });

  it('stand beside a GPU', () => {
    expect(limits({ engine: { provider: 'cuda' } })).toEqual({ 'nvidia.com/gpu': '1', memory: '10Gi' });
  });

  it.each([
    ['a limit', { resources: { limits: { memory: '6Gi' } } }, { memory: '6Gi' }, '6Gi'],
    ['a smaller request', { resources: { requests: { memory: '2Gi' } } }, { memory: '10Gi' }, '2Gi'],
    ['a larger request', { resources: { requests: { memory: '64Gi' } } }, { memory: '128Gi' }, '64Gi'],
    ['a request as no one writes it', { resources: { requests: { memory: '5e9' } } }, {}, '5e9'],
    [
      'a limit of something else',
      { resources: { limits: { cpu: '2' } } },
      { cpu: '2', memory: '10Gi' },
      '5Gi',
    ],
  ])(
    'give way to %s of a template, be it the resource’s or the installation’s',
    (_, worker, right, request) => {
      for (const [spec, templates] of [
        [container(worker), []],
        [{}, [container(worker).template]],
      ] as const) {
        const { resources } = made(spec, { templates: [...templates] }).worker;
        expect(resources.limits).toEqual(right);
        expect(resources.requests['memory']).toBe(request);
      }
    },
  );

  it('are never above the limit of the pod as a whole', () => {
    const template = { spec: { resources: { limits: { memory: '8Gi' } } } };
    expect(limits({ template })).toEqual({});
  });

  it('are marked as the installation’s on the pod, a template’s are not', () => {
    const mark = 'offsite-tuning.dev/default-memory-limit';
    expect(made({}).template.metadata.annotations).toEqual({ [mark]: '10Gi' });
    const stated = container({ resources: { limits: { memory: '10Gi' } } });
    expect(made(stated).template.metadata.annotations).toEqual({});
  });

  it('take no mark that is the operator’s own from a template', () => {
    const metadata = {
      annotations: {
        'offsite-tuning.dev/kept-in': 'pvc://elsewhere',
        'offsite-tuning.dev/default-memory-limit': '1Gi',
        a: 'b',
      },
    };
    const { spec } = container({ resources: { limits: { memory: '10Gi' } } }).template;
    const { template } = made({ template: { metadata, spec } });
    expect(template.metadata.annotations).toEqual({ a: 'b' });
  });

  it('change no name: what an installation limits runs nothing again', () => {
    const names = [0, 1, 2].map((memory) => made({}, { limitFactors: { ...factors, memory } }).job);
    expect(new Set(names.map(({ metadata }) => metadata.name)).size).toBe(1);
    expect(new Set(names.map(({ metadata }) => JSON.stringify(metadata.annotations))).size).toBe(1);
  });
});

describe('names', () => {
  it('have at most 52 characters: the name is cut, hash and attempt are kept', () => {
    const name = jobName(`a${'-b'.repeat(19)}`, 'assemble', { specHash: '0123456789', attempt: 12 });
    expect(name).toMatch(/^a(-b)+-assemble-0123456789-12$/);
    expect(name.length).toBeLessThanOrEqual(52);
    expect(jobName('words', 'tune', { specHash: '0123456789', attempt: 1 })).toBe('words-tune-0123456789-1');
  });

  it('follow the spec as it is written, not how it runs', () => {
    const hash = (spec: object) => hashOfSpec('EmulatorBuild', 'u', spec);
    expect(hash({ layers: 1, template: {}, suspend: true })).toBe(hash({ layers: 1 }));
    expect(hash({ layers: 2 })).not.toBe(hash({ layers: 1 }));
  });
});

it('names and hashes are as they were in every version, so that an upgrade makes nothing again', () => {
  // Frozen: another value restarts what runs, and makes again what is done, in every cluster.
  const world = new World(resource('OffsiteTune'));
  world.dependencies = { emulator: completed('EmulatorBuild', 'e') };
  const { name, annotations } = world.run().job('tune').metadata;
  expect(name).toBe('words-tune-ee61a8e806-1');
  // Earlier versions wrote their first sixteen letters.
  expect(annotations).toMatchObject({
    'offsite-tuning.dev/run-hash': expect.stringMatching(/^f094cd2c46f6a966[0-9a-f]{48}$/),
    'offsite-tuning.dev/inputs-hash': expect.stringMatching(/^5be878be8aebdad8[0-9a-f]{48}$/),
  });
  // The API version is no part of them.
  expect(runHashOf({ ...world.object, apiVersion: 'offsite-tuning.dev/v1' })).toBe(
    annotations?.['offsite-tuning.dev/run-hash'],
  );
});
