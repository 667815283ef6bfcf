// What a worker's environment tells it, and where in its container its things lie: as the operator says it, and as it is heard.
import type { Key } from '../signing.ts';

/** The container that does the work; others come from templates. */
export const workerContainer = 'worker';

export const variables = {
  job: 'OFFSITE_JOB',
  /** Set by Kubernetes: which of the pods that share a stage this one is. */
  shard: 'JOB_COMPLETION_INDEX',
  scratch: 'OFFSITE_SCRATCH',
  claims: 'OFFSITE_CLAIMS',
  secrets: 'OFFSITE_SECRETS',
  keys: 'OFFSITE_KEYS',
  nats: 'OFFSITE_NATS',
  natsUrl: 'OFFSITE_NATS_URL',
  terminationLog: 'OFFSITE_TERMINATION_LOG',
  graceSeconds: 'OFFSITE_GRACE_SECONDS',
  lockSeconds: 'OFFSITE_LOCK_SECONDS',
  httpsHosts: 'OFFSITE_HTTPS_HOSTS',
} as const;

/** Where the operator mounts what the worker looks for there. */
export const mounted = {
  /** Copies of what lies in stores. */
  scratch: '/scratch',
  home: '/tmp',
  /** Of each claim, by its name. */
  claims: '/mnt/claims',
  /** Of each Secret, by its name. */
  secrets: '/etc/offsite/secrets',
  /** Of each Secret with a key that signs, or with keys whose signatures are taken: that file of it alone. */
  keys: '/etc/offsite/keys',
  nats: '/etc/offsite/nats',
  terminationLog: '/dev/termination-log',
} as const;

export const claimAt = (name: string): string => `${mounted.claims}/${name}`;
export const secretAt = (name: string): string => `${mounted.secrets}/${name}`;

/** One Secret may have both. */
export const keyAt = ({ kind, secret }: Key): string => `${mounted.keys}/${kind}/${secret}`;

/** What lies in `nats`, where the run has credentials. */
export const natsFiles = { credentials: 'nats.creds', authority: 'ca.crt' } as const;

/** The pod's own grace period, where no template says another. */
export const podGraceSeconds = 60;
const lockSeconds = 60;

/** The worker leaves a little before the kubelet would kill it: that would count as a failure. */
export const graceWithin = (podGrace: number): number =>
  podGrace > 20 ? podGrace - 10 : Math.max(0, Math.floor(podGrace / 2));

export interface Told {
  /** The stage to run, as writePodJob() writes it. */
  readonly job: string;
  /** As long as the worker may take after SIGTERM. */
  readonly graceSeconds: number | undefined;
  /** Hosts that it may ask over HTTPS; any when empty. */
  readonly httpsHosts: readonly string[];
  /** Where it reports; it does not when absent. */
  readonly natsUrl: string | undefined;
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

/** The variables of a worker's container. What nothing in a cluster may change is set, too: to nothing, which means as usual. */
export function environmentOf({ job, graceSeconds, httpsHosts, natsUrl }: Told): Variable[] {
  const set = (name: string, value: string | undefined) => (value === undefined ? [] : [{ name, value }]);
  const { claims, secrets, keys, nats, terminationLog, lockSeconds } = variables;
  return [
    ...set(variables.job, job),
    ...set(variables.scratch, mounted.scratch),
    ...set('HOME', mounted.home),
    // onnxruntime posts to its maker otherwise.
    ...set('ORT_DISABLE_TELEMETRY', '1'),
    ...set(variables.graceSeconds, graceSeconds?.toString()),
    ...set(variables.httpsHosts, httpsHosts.length === 0 ? undefined : httpsHosts.join(',')),
    ...set(variables.natsUrl, natsUrl),
    ...[claims, secrets, keys, nats, terminationLog, lockSeconds].flatMap((name) => set(name, '')),
  ].map(literal);
}

/** Of one variable with its name: Linux starts no process with a longer one (MAX_ARG_STRLEN, 32 pages). */
const mostVariableBytes = 131_072;

/** Whether a process starts with it. */
export const fitsEnvironment = (name: string, value: string): boolean =>
  Buffer.byteLength(`${name}=${value}\0`) <= mostVariableBytes;

/** The kubelet puts variables in the place of `$(NAME)`, and `$` in that of `$$`: what we say is no such text. */
const literal = ({ name, value }: Variable): Variable => ({ name, value: value.replaceAll('$', '$$$$') });

/** A literal value as the kubelet hands it on. */
export const handedOn = (value: string): string => value.replaceAll('$$', '$');

export interface Heard {
  readonly job: string | undefined;
  readonly shard: string | undefined;
  readonly scratch: string;
  readonly claims: string;
  readonly secrets: string;
  readonly keys: string;
  readonly nats: string;
  readonly natsUrl: string | undefined;
  readonly terminationLog: string;
  readonly graceSeconds: number;
  /** After how long another pod that holds the output and gives no sign of life is taken for dead. */
  readonly lockSeconds: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function heardIn(environment: Environment): Heard {
  const at = (name: keyof typeof mounted & keyof typeof variables) =>
    environment[variables[name]] || mounted[name];
  return {
    job: environment[variables.job],
    shard: environment[variables.shard],
    scratch: at('scratch'),
    claims: at('claims'),
    secrets: at('secrets'),
    keys: at('keys'),
    nats: at('nats'),
    natsUrl: environment[variables.natsUrl] || undefined,
    terminationLog: at('terminationLog'),
    graceSeconds: graceSecondsIn(environment),
    lockSeconds: secondsIn(environment, variables.lockSeconds, lockSeconds),
  };
}

/** How long a process may take after it was asked to stop; `offsite run` hears it, too. */
export const graceSecondsIn = (environment: Environment): number =>
  secondsIn(environment, variables.graceSeconds, graceWithin(podGraceSeconds));

/** A longer timer of Node's would end at once. */
const mostSeconds = Math.floor((2 ** 31 - 1) / 1000);

/** What is no number of seconds is as good as none: a pod that goes by the usual time is better than one that does not start. */
function secondsIn(environment: Environment, name: string, usual: number): number {
  const said = environment[name] ?? '';
  return Math.min(/^[0-9]+(\.[0-9]+)?$/.test(said) ? Number(said) : usual, mostSeconds);
}

/** Any host when empty. */
export const httpsHostsIn = (environment: Environment): string[] =>
  (environment[variables.httpsHosts] ?? '')
    .split(',')
    .map((host) => host.trim().toLowerCase())
    .filter(Boolean);
