/** Builds the Job of one stage, from what the resource says and nothing else: the same input gives the same Job. */
import {
  type Engine,
  environmentOf,
  finalExits,
  fitsEnvironment,
  graceWithin,
  mounted,
  podGraceSeconds,
  type Resource,
  stoppedExit,
  variables,
  workerContainer,
  writePodJob,
} from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import { inputsHashOf, ownerReference, queueName, queueOf, runHashOf } from '../identity.ts';
import { isMapping, type Json } from '../json.ts';
import { annotation, credentialsName, jobName, label, ours } from '../names.ts';
import type { Power } from '../spec/powers.ts';
import { merge } from '../spec/template.ts';
import type { Inputs, StageWork } from '../stages.ts';
import { workOnce } from '../work-once.ts';
import { type GpuProvider, type GpuSettings, gpuNeeds } from './gpu.ts';
import type { LimitFactors } from './limits.ts';
import { mountsOf } from './mounts.ts';
import { requestsOf, withTemplate } from './requests.ts';

/** What an installation decides for all pods. */
export interface JobSettings {
  readonly image: string;
  readonly imagePullPolicy?: string | undefined;
  /** Hosts that pods may ask over HTTPS; any when empty. */
  readonly httpsHosts?: readonly string[];
  /** What a resource's template may ask for beyond the objects of its namespace; nothing when absent. */
  readonly allowInTemplates?: readonly Power[];
  /** The limits of workers that no template limits; none when absent. */
  readonly limitFactors?: LimitFactors;
  /** Pod templates under every resource's own, each over those before it. */
  readonly templates?: readonly Json[] | undefined;
  /** What is different for the providers that compute on a GPU. */
  readonly gpu?: Readonly<Partial<Record<GpuProvider, GpuSettings>>>;
  /** Where pods report; they do not when absent. */
  readonly natsUrl?: string | undefined;
  /** Whether each Job has a Secret with credentials for NATS. */
  readonly natsCredentials?: boolean;
}

export interface JobInput {
  /** The resource as it is stored: apiVersion, kind, metadata and the spec as it was written. */
  readonly object: KubeObject;
  /** The same, with defaults. */
  readonly resource: Resource;
  readonly work: StageWork;
  readonly inputs: Inputs;
  readonly attempt: number;
  readonly specHash: string;
  readonly modelBytes?: number | undefined;
}

/** What a pod is told of. */
type ToldInput = Pick<JobInput, 'object' | 'work' | 'inputs' | 'attempt'>;

export function buildJob(input: JobInput, settings: JobSettings): KubeObject {
  const { object, resource, work, attempt, specHash } = input;
  const { name, namespace = 'default', uid = '' } = object.metadata;
  const jobLabels = {
    ...ours,
    [label.name]: 'offsite-tuning',
    [label.component]: 'worker',
    [label.ownerKind]: object.kind,
    [label.ownerName]: name,
    [label.ownerUid]: uid,
    [label.stage]: work.stage,
    [label.attempt]: String(attempt),
  };
  const queue = queueLabels(object);
  const { activeDeadlineSeconds } = resource.spec;
  const theirs = templatesFor(resource, settings);
  const marked = theirs.reduce<Json>(merge, {});
  const job = jobName(name, work.stage, { specHash, attempt });
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: job,
      namespace,
      labels: { ...markOf(marked, 'labels'), ...queue, ...jobLabels },
      annotations: {
        ...markOf(marked, 'annotations'),
        [annotation.queue]: queueOf(object),
        [annotation.run]: runHashOf(object),
        [annotation.inputs]: inputsHashOf(input.inputs),
      },
      ownerReferences: [ownerReference(object)],
    },
    spec: {
      // Kueue lets a Job run by taking suspend away; without a queue nobody would.
      ...(queueName in queue && { suspend: true }),
      ...(work.shards !== undefined && {
        completionMode: 'Indexed',
        completions: work.shards,
        parallelism: work.shards,
      }),
      ...triesOf(input),
      ...(activeDeadlineSeconds !== undefined && { activeDeadlineSeconds }),
      podReplacementPolicy: 'Failed',
      podFailurePolicy,
      template: podTemplate(input, settings, theirs, job, jobLabels),
    },
  };
}

/** Each shard has tries of its own: what ends all of them at once, such as a store that is away, is one failure of each. */
function triesOf({ resource: { spec }, work }: JobInput): Json {
  const { backoffLimit } = spec;
  return work.shards === undefined
    ? { backoffLimit }
    : { backoffLimitPerIndex: backoffLimit, maxFailedIndexes: 0 };
}

/** What a pod template says of its pods' metadata goes on their Job, too: policies ask for labels there. */
function markOf(template: Json, field: 'labels' | 'annotations'): Record<string, string> {
  const metadata = isMapping(template['metadata']) ? template['metadata'] : {};
  const marks = isMapping(metadata[field]) ? (metadata[field] as Record<string, string>) : {};
  return Object.fromEntries(Object.entries(marks).filter(([name]) => !isMeantForPods(name)));
}

/** Queues and Kubernetes' own controllers act on these. */
const isMeantForPods = (name: string) => /^(kueue\.x-k8s|batch\.kubernetes)\.io\//.test(name);

const queueLabels = ({ metadata }: KubeObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata.labels ?? {}).filter(([name]) => name.startsWith('kueue.x-k8s.io/')),
  );

/** In this order: what the worker says is final; what the cluster did to it, and its own leaving in time, is no failure. */
const podFailurePolicy = {
  rules: [
    {
      action: 'FailJob',
      onExitCodes: {
        containerName: workerContainer,
        operator: 'In',
        values: finalExits,
      },
    },
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    {
      action: 'Ignore',
      onExitCodes: { containerName: workerContainer, operator: 'In', values: [stoppedExit] },
    },
    // Taken away before a node was found for it: nothing of it ever ran.
    { action: 'Ignore', onPodConditions: [{ type: 'PodScheduled', status: 'False' }] },
  ],
};

/** The installation's templates, each over those before it. */
export const installedTemplates = ({ spec }: Resource, settings: JobSettings): Json[] => [
  ...(settings.templates ?? []),
  ...(gpuOf(spec.engine, settings)?.templates ?? []),
];

const gpuOf = ({ provider }: Engine, { gpu }: JobSettings): GpuSettings | undefined =>
  provider === 'cpu' ? undefined : gpu?.[provider];

/** These, and over them the resource's. */
const templatesFor = (resource: Resource, settings: JobSettings): Json[] => [
  ...installedTemplates(resource, settings),
  resource.spec.template ?? {},
];

/** Our defaults, under `theirs`, each over those before it, under what must be so. */
function podTemplate(
  input: JobInput,
  settings: JobSettings,
  theirs: readonly Json[],
  job: string,
  labels: Record<string, string>,
): Json {
  const { resource, work, modelBytes } = input;
  const { engine } = resource.spec;
  const gpu = gpuOf(engine, settings);
  const needs = gpuNeeds(engine.provider, gpu);
  const defaults = {
    spec: {
      terminationGracePeriodSeconds: podGraceSeconds,
      enableServiceLinks: false,
      securityContext: {
        runAsUser: 65532,
        runAsGroup: 65532,
        fsGroup: 65532,
        fsGroupChangePolicy: 'OnRootMismatch',
      },
      ...(needs.tolerations.length > 0 && { tolerations: needs.tolerations }),
      containers: [
        {
          name: workerContainer,
          image: gpu?.image ?? settings.image,
          ...(settings.imagePullPolicy && { imagePullPolicy: settings.imagePullPolicy }),
          // A store that is named without keys must not be opened as the node.
          env: [{ name: 'AWS_EC2_METADATA_DISABLED', value: 'true' }, ...needs.env],
        },
      ],
      volumes: [
        { name: 'scratch', emptyDir: {} },
        { name: 'tmp', emptyDir: {} },
      ],
    },
  };
  // One after the other: a null in any takes away what those under it say.
  const template = theirs.reduce<Json>(merge, defaults);
  const { volumes, volumeMounts } = mountsOf(work);
  const nats = natsOf(settings, job);
  const { resources, defaultMemory } = withTemplate(
    requestsOf(engine, work, { modelBytes, gpu: needs.resource }),
    settings.limitFactors ?? unlimited,
    { template, worker: workerOf(template) },
  );
  const must = {
    metadata: {
      labels,
      // The operator takes both for its own word: no template says them.
      annotations: {
        [annotation.defaultMemory]: defaultMemory ?? null,
        [annotation.keptIn]: workOnce(resource) ?? null,
      },
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: workerContainer,
          resources,
          env: environmentOf({
            job: jobText(input),
            graceSeconds: graceOf(template),
            httpsHosts: settings.httpsHosts ?? [],
            natsUrl: settings.natsUrl,
          }),
          // A worker that has ended writes no more.
          restartPolicy: null,
          restartPolicyRules: null,
          volumeMounts: [
            { name: 'scratch', mountPath: mounted.scratch },
            { name: 'tmp', mountPath: mounted.home },
            ...volumeMounts,
            ...nats.volumeMounts,
          ],
          terminationMessagePath: mounted.terminationLog,
          terminationMessagePolicy: 'File',
          securityContext: {
            allowPrivilegeEscalation: false,
            privileged: false,
            readOnlyRootFilesystem: true,
            runAsNonRoot: true,
            capabilities: { drop: ['ALL'], add: null },
            seccompProfile: { type: 'RuntimeDefault' },
          },
        },
      ],
      ...(volumes.length + nats.volumes.length > 0 && { volumes: [...volumes, ...nats.volumes] }),
    },
  };
  return merge(template, must);
}

const unlimited: LimitFactors = { memory: 0, ephemeralStorage: 0 };

/** The template's own entry for our container. */
export function workerOf(template: Json): Json {
  const spec = isMapping(template['spec']) ? template['spec'] : {};
  const containers = Array.isArray(spec['containers']) ? spec['containers'] : [];
  const worker: unknown = containers.find((entry) => isMapping(entry) && entry['name'] === workerContainer);
  return isMapping(worker) ? worker : {};
}

/** What of the resource is too large for a pod to be told; undefined where all of it fits. */
export function tooLarge(input: ToldInput): string | undefined {
  const text = jobText(input);
  if (fitsEnvironment(variables.job, text)) return undefined;
  const spec: unknown = input.object['spec'];
  const sizes = Object.entries(isMapping(spec) ? spec : {})
    .filter(([field]) => field !== 'template')
    .map(([field, value]) => ({ field, bytes: Buffer.byteLength(JSON.stringify(value ?? null)) }))
    .toSorted((a, b) => b.bytes - a.bytes);
  const [largest] = sizes;
  return `spec.${largest?.field}: makes the resource, with what it refers to, too large for a pod to be told: ${Buffer.byteLength(text)} bytes of JSON, ${largest?.bytes} of them in this field; some 130,000 are the most: write less, or name Secrets in place of texts`;
}

/** What the worker is to do. */
function jobText({ object, work, inputs, attempt }: ToldInput): string {
  const withSecrets = Object.entries(inputs).map(([role, { uri, digest, secret }]) => [
    role,
    { uri, digest, ...(secret !== undefined && { secretRef: { name: secret } }) },
  ]);
  return writePodJob({
    ...{ stage: work.stage, attempt, shards: work.shards },
    resource: object,
    inputs: Object.fromEntries(withSecrets),
  });
}

/** Seconds that a pod has which states none. */
const kubernetesGrace = 30;

function graceOf(template: Json): number | undefined {
  const grace = (template['spec'] as Json)['terminationGracePeriodSeconds'] ?? kubernetesGrace;
  return typeof grace === 'number' ? graceWithin(grace) : undefined;
}

function natsOf({ natsUrl, natsCredentials }: JobSettings, job: string) {
  if (natsUrl === undefined || !natsCredentials) return { volumes: [], volumeMounts: [] };
  // Without its credentials a pod goes on all the same, and does not report.
  const secret = { secretName: credentialsName(job), optional: true, defaultMode: 0o440 };
  return {
    volumes: [{ name: 'offsite-nats', secret }],
    volumeMounts: [{ name: 'offsite-nats', mountPath: mounted.nats, readOnly: true }],
  };
}
