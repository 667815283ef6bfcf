/** How this process is to run: flags, or the environment variables that the chart sets. */
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type JobSettings, type Power, powers } from './jobs/index.ts';

export interface Settings {
  /** Namespaces whose resources are worked on; all where empty. */
  readonly namespaces: readonly string[];
  readonly leaderElection: boolean;
  readonly leaseName: string;
  /** The operator's own: of its Lease and of the NATS keys. */
  readonly namespace: string;
  /** Different for every process. */
  readonly identity: string;
  readonly metricsPort: number;
  /** Keys that each controller works on at once. */
  readonly concurrency: number;
  readonly natsUrl: string | undefined;
  /** Absent where NATS asks for no credentials. */
  readonly natsAuthSecret: string | undefined;
  /** A file with the authority of NATS's certificate: this process trusts it, and each run's pods get it. */
  readonly natsCa: string | undefined;
  readonly job: JobSettings;
}

interface Flags {
  namespaces: string[];
  leaderElection: boolean;
  leaseName: string;
  namespace: string;
  metricsPort: number;
  concurrency: number;
  natsUrl?: string;
  natsAuthSecret: string;
  natsCa?: string;
  workerNatsUrl?: string;
  workerImage: string;
  workerCudaImage?: string;
  workerCudaGpu?: string;
  workerWebgpuImage?: string;
  workerWebgpuGpu?: string;
  workerImagePullPolicy?: string;
  workerHttpsHosts: string[];
  workerAllowInTemplates: Power[];
  workerMemoryLimit: number;
  workerStorageLimit: number;
  workerTemplate?: JobSettings['templates'];
  workerCudaTemplate?: JobSettings['templates'];
  workerWebgpuTemplate?: JobSettings['templates'];
}

/** @throws CommanderError that names the flag or variable and what is right */
export function readSettings(argv: readonly string[]): Settings {
  const command = new Command('offsite-operator').exitOverride();
  for (const option of options()) command.addOption(option);
  const flags = command.parse(argv, { from: 'user' }).opts<Flags>();
  // What these say stands in the log and in every pod; the message must not quote it either.
  for (const [flag, url] of [
    ['--nats-url', flags.natsUrl],
    ['--worker-nats-url', flags.workerNatsUrl],
  ]) {
    if (url?.includes('@'))
      command.error(`error: ${flag} must hold no user or password: --nats-auth-secret names the credentials`);
  }
  const natsUrl = given(flags.natsUrl);
  const workerNatsUrl = given(flags.workerNatsUrl) ?? natsUrl;
  const podName = process.env['POD_NAME'] ?? hostname();
  return {
    namespaces: flags.namespaces,
    leaderElection: flags.leaderElection,
    leaseName: flags.leaseName,
    namespace: flags.namespace,
    identity: `${podName}_${process.pid}_${Date.now().toString(36)}`,
    metricsPort: flags.metricsPort,
    concurrency: flags.concurrency,
    natsUrl,
    natsAuthSecret: given(flags.natsAuthSecret),
    natsCa: given(flags.natsCa),
    job: {
      image: flags.workerImage,
      imagePullPolicy: given(flags.workerImagePullPolicy),
      httpsHosts: flags.workerHttpsHosts,
      allowInTemplates: flags.workerAllowInTemplates,
      limitFactors: { memory: flags.workerMemoryLimit, ephemeralStorage: flags.workerStorageLimit },
      templates: flags.workerTemplate,
      gpu: {
        cuda: {
          image: given(flags.workerCudaImage),
          resource: flags.workerCudaGpu,
          templates: flags.workerCudaTemplate,
        },
        webgpu: {
          image: given(flags.workerWebgpuImage),
          resource: flags.workerWebgpuGpu,
          templates: flags.workerWebgpuTemplate,
        },
      },
      natsUrl: workerNatsUrl,
      natsCredentials: workerNatsUrl !== undefined && flags.natsAuthSecret !== '',
    },
  };
}

function options(): Option[] {
  const option = (flags: string, description: string, variable: string) =>
    new Option(flags, description).env(variable);
  return [
    option('--namespaces <names>', 'namespaces to watch, by commas; all when empty', 'OFFSITE_NAMESPACES')
      .argParser(listed)
      .default([]),
    option('--leader-election <yes>', 'whether replicas elect a leader', 'OFFSITE_LEADER_ELECTION')
      .argParser(trueOrFalse)
      .default(true),
    option('--lease-name <name>', 'of the Lease', 'OFFSITE_LEASE_NAME').default('offsite-operator'),
    option('--namespace <name>', 'the operator itself runs here', 'POD_NAMESPACE').default('default'),
    option('--metrics-port <port>', 'of /metrics, /healthz, /readyz', 'OFFSITE_METRICS_PORT')
      .argParser(whole(0, 65535))
      .default(8080),
    option('--concurrency <n>', 'resources of a kind at once', 'OFFSITE_CONCURRENCY')
      .argParser(whole(1, 64))
      .default(8),
    option('--nats-url <url>', 'where pods report, as the operator reaches it', 'OFFSITE_NATS_URL'),
    option(
      '--nats-auth-secret <name>',
      'Secret with the keys of NATS; empty where NATS asks for none',
      'OFFSITE_NATS_AUTH_SECRET',
    ).default('offsite-nats-auth'),
    option('--nats-ca <file>', "authority of NATS's certificate, for pods too", 'NATS_CA'),
    option('--worker-nats-url <url>', 'the same, as pods reach it', 'OFFSITE_WORKER_NATS_URL'),
    option('--worker-image <image>', 'of pods that compute', 'OFFSITE_WORKER_IMAGE')
      .argParser(filled)
      .makeOptionMandatory(),
    option('--worker-cuda-image <image>', 'the same, for provider cuda', 'OFFSITE_WORKER_CUDA_IMAGE'),
    option(
      '--worker-cuda-gpu <resource>',
      'of which pods of provider cuda have one, nvidia.com/gpu by default; none when empty',
      'OFFSITE_WORKER_CUDA_GPU',
    ).argParser(resourceName),
    option('--worker-webgpu-image <image>', 'the same, for provider webgpu', 'OFFSITE_WORKER_WEBGPU_IMAGE'),
    option(
      '--worker-webgpu-gpu <resource>',
      'of which pods of provider webgpu have one; none when empty',
      'OFFSITE_WORKER_WEBGPU_GPU',
    ).argParser(resourceName),
    option('--worker-image-pull-policy <policy>', 'of all', 'OFFSITE_WORKER_IMAGE_PULL_POLICY'),
    option(
      '--worker-https-hosts <names>',
      'hosts that pods may ask over HTTPS, by commas; any when empty',
      'OFFSITE_WORKER_HTTPS_HOSTS',
    )
      .argParser(listed)
      .default([]),
    option(
      '--worker-allow-in-templates <powers>',
      `what resources' templates may ask for, by commas: ${powers.join(', ')}; none when empty`,
      'OFFSITE_WORKER_ALLOW_IN_TEMPLATES',
    )
      .argParser(listOfPowers)
      .default([]),
    option(
      '--worker-memory-limit <factor>',
      'the memory limit of pods whose templates state none, as a multiple of what they are given; 0 for none',
      'OFFSITE_WORKER_MEMORY_LIMIT',
    )
      .argParser(limitFactor)
      .default(2),
    option(
      '--worker-storage-limit <factor>',
      'the same of ephemeral storage, as a multiple of what is expected there',
      'OFFSITE_WORKER_STORAGE_LIMIT',
    )
      .argParser(limitFactor)
      .default(0),
    option(
      '--worker-template <json>',
      'pod template under all resources’ own; of a list each over those before it',
      'OFFSITE_WORKER_TEMPLATE',
    ).argParser(podTemplates),
    option(
      '--worker-cuda-template <json>',
      'the same, for provider cuda',
      'OFFSITE_WORKER_CUDA_TEMPLATE',
    ).argParser(podTemplates),
    option(
      '--worker-webgpu-template <json>',
      'the same, for provider webgpu',
      'OFFSITE_WORKER_WEBGPU_TEMPLATE',
    ).argParser(podTemplates),
  ];
}

/** An extended resource, as device plugins name theirs: nvidia.com/gpu. */
function resourceName(value: string): string {
  if (
    value !== '' &&
    !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value)
  )
    throw new InvalidArgumentError(
      "must be the name of a device plugin's resource, such as nvidia.com/gpu, or empty",
    );
  return value;
}

/** An empty variable is as good as none. */
const given = (value: string | undefined) => value || undefined;

const listed = (value: string) =>
  value
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);

function listOfPowers(value: string): Power[] {
  return listed(value).map((name) => {
    const power = powers.find((known) => known === name);
    if (power === undefined)
      throw new InvalidArgumentError(`must be ${powers.join(', ')}, by commas; ${name} is none of them`);
    return power;
  });
}

function filled(value: string): string {
  if (value === '') throw new InvalidArgumentError('must not be empty');
  return value;
}

function trueOrFalse(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new InvalidArgumentError('must be true or false');
  return value === 'true';
}

const whole = (least: number, most: number) => (value: string) => {
  const number = Number(value);
  if (!Number.isInteger(number) || number < least || number > most) {
    throw new InvalidArgumentError(`must be a whole number from ${least} to ${most}`);
  }
  return number;
};

function limitFactor(value: string): number {
  const factor = value === '' ? Number.NaN : Number(value);
  if (factor !== 0 && !(factor >= 1 && factor <= 64))
    throw new InvalidArgumentError('must be a number from 1 to 64, or 0 for no limit');
  return factor;
}

function podTemplates(value: string): JobSettings['templates'] {
  if (value === '') return [];
  const templates = [parsed(value)].flat();
  const right = templates.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
  if (right) return templates as NonNullable<JobSettings['templates']>;
  throw new InvalidArgumentError('must be a pod template as a JSON mapping, or a list of them');
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
