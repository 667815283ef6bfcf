import { afterEach, expect, it, vi } from 'vitest';
import { readSettings } from '../../../operator/settings.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const quietly = (args: string[]) => {
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  return () => readSettings(args);
};

it('reads what the chart sets', () => {
  const variables = {
    POD_NAME: 'operator-0',
    POD_NAMESPACE: 'offsite',
    OFFSITE_NAMESPACES: 'a, b',
    OFFSITE_LEADER_ELECTION: 'true',
    OFFSITE_LEASE_NAME: 'lease',
    OFFSITE_METRICS_PORT: '9090',
    OFFSITE_NATS_URL: 'nats://nats:4222',
    OFFSITE_NATS_AUTH_SECRET: 'auth',
    OFFSITE_WORKER_IMAGE: 'worker:1',
    OFFSITE_WORKER_CUDA_IMAGE: 'worker:1-cuda',
    OFFSITE_WORKER_IMAGE_PULL_POLICY: 'Never',
    OFFSITE_WORKER_HTTPS_HOSTS: 'data.example.com,*.hf.co',
    OFFSITE_WORKER_ALLOW_IN_TEMPLATES: 'serviceAccounts,hostPaths',
    OFFSITE_WORKER_MEMORY_LIMIT: '1.5',
    OFFSITE_WORKER_STORAGE_LIMIT: '3',
    OFFSITE_WORKER_TEMPLATE: '{"spec":{"priorityClassName":"low"}}',
    OFFSITE_WORKER_CUDA_TEMPLATE: '{}',
    OFFSITE_WORKER_CUDA_GPU: '',
    OFFSITE_WORKER_WEBGPU_IMAGE: 'worker:1-webgpu',
    OFFSITE_WORKER_WEBGPU_GPU: 'gpu.intel.com/i915',
    OFFSITE_WORKER_WEBGPU_TEMPLATE: '{"spec":{"runtimeClassName":"kata"}}',
  };
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  const settings = readSettings([]);
  expect(settings).toMatchObject({
    namespace: 'offsite',
    namespaces: ['a', 'b'],
    leaderElection: true,
    leaseName: 'lease',
    metricsPort: 9090,
    natsUrl: 'nats://nats:4222',
    natsAuthSecret: 'auth',
    job: {
      image: 'worker:1',
      gpu: {
        cuda: { image: 'worker:1-cuda', resource: '', templates: [{}] },
        webgpu: {
          image: 'worker:1-webgpu',
          resource: 'gpu.intel.com/i915',
          templates: [{ spec: { runtimeClassName: 'kata' } }],
        },
      },
      imagePullPolicy: 'Never',
      httpsHosts: ['data.example.com', '*.hf.co'],
      allowInTemplates: ['serviceAccounts', 'hostPaths'],
      limitFactors: { memory: 1.5, ephemeralStorage: 3 },
      templates: [{ spec: { priorityClassName: 'low' } }],
      natsUrl: 'nats://nats:4222',
      natsCredentials: true,
    },
  });
  expect(settings.identity).toMatch(/^operator-0_/);
});

it('has defaults for all but the worker image; an empty variable is none', () => {
  vi.stubEnv('OFFSITE_NAMESPACES', '');
  vi.stubEnv('OFFSITE_NATS_URL', '');
  const { namespaces, natsUrl, metricsPort, job } = readSettings(['--worker-image', 'w']);
  expect(job.limitFactors).toEqual({ memory: 2, ephemeralStorage: 0 });
  expect({ namespaces, natsUrl, metricsPort, credentials: job.natsCredentials }).toEqual({
    namespaces: [],
    natsUrl: undefined,
    metricsPort: 8080,
    credentials: false,
  });
  expect(quietly([])).toThrow(/--worker-image/);
});

it.each(['--nats-url', '--worker-nats-url'])('%s with credentials is refused, and not quoted', (flag) => {
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const read = () => readSettings(['--worker-image', 'w', flag, 'nats://user:hush@nats:4222']);
  expect(read).toThrow(`${flag} must hold no user or password`);
  expect(JSON.stringify(said.mock.calls)).not.toContain('hush');
});

it.each([
  [['--metrics-port', 'x'], /--metrics-port.*must be a whole number/],
  [['--leader-election', 'maybe'], /--leader-election.*must be true or false/],
  [['--worker-allow-in-templates', 'root'], /--worker-allow-in-templates.*root is none of them/],
  [['--worker-memory-limit', '0.5'], /--worker-memory-limit.*must be a number from 1 to 64, or 0/],
  [['--worker-storage-limit', ''], /--worker-storage-limit.*must be a number from 1 to 64, or 0/],
  [['--worker-template', '[1]'], /--worker-template.*must be a pod template as a JSON mapping/],
])('names what is wrong with %j', (args, message) => {
  expect(quietly(['--worker-image', 'w', ...args])).toThrow(message);
});
