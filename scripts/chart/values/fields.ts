import { z } from 'zod';

/** A string that may be empty. */
export const text = (description: string, standard = '') =>
  z.string().default(standard).describe(description);

/** A Kubernetes structure that the chart passes on as it is: the API server checks it. */
export const passedOn = (description: string) =>
  z.record(z.string(), z.unknown()).default({}).describe(description);
export const listPassedOn = (description: string) =>
  z.array(z.record(z.string(), z.unknown())).default([]).describe(description);

export const strings = (description: string) =>
  z.record(z.string(), z.string()).default({}).describe(description);

const labelPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
export const namespaces = (description: string) =>
  z.array(z.string().regex(labelPattern)).default([]).describe(description);

const hostPattern = /^(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** Host names, without port; `*.` before one stands for all below it. */
export const hosts = (description: string) =>
  z.array(z.string().regex(hostPattern)).max(100).default([]).describe(description);

const name = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$/;
/** The name of an object that exists already, or nothing. */
export const objectName = (description: string) => z.string().regex(name).default('').describe(description);

const resourcePattern =
  /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** A device plugin's resource, or none. */
export const extendedResource = (standard: string, description: string) =>
  z.string().regex(resourcePattern).default(standard).describe(description);

const quantityPattern = /^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$/;
export const quantity = (standard: string, description: string) =>
  z.string().regex(quantityPattern).default(standard).describe(description);

export const port = (standard: number, description: string) =>
  z.int().min(1024).max(65535).default(standard).describe(description);

export const pullPolicy = z.enum(['IfNotPresent', 'Always', 'Never']);

const reference = (repository: string, tag: string, emptyTag: string) => ({
  repository: z
    .string()
    .regex(/^[a-z0-9][-a-z0-9._/:]*$/)
    .default(repository)
    .describe('Repository, without tag.'),
  tag: z
    .string()
    .regex(/^([A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?$/)
    .default(tag)
    .describe(`Tag. ${emptyTag}`),
  digest: z
    .string()
    .regex(/^(sha256:[0-9a-f]{64})?$/)
    .default('')
    .describe('sha256:... of the image: what runs whatever the tag says.'),
});

const ours = "The chart's appVersion where empty.";

/** An image and when it is pulled. @param emptyTag what an empty tag means */
export const image = (repository: string, description: string, tag = '', emptyTag = ours) =>
  z
    .strictObject({
      ...reference(repository, tag, emptyTag),
      pullPolicy: pullPolicy.default('IfNotPresent').describe('When the image is pulled.'),
    })
    .prefault({})
    .describe(description);

/** An image that is pulled when another one is. */
export const imageBeside = (repository: string, description: string) =>
  z
    .strictObject(reference(repository, '', ours))
    .prefault({})
    .describe(description);

/** @param standard requests and limits */
export const resources = (
  standard: { requests?: Record<string, string>; limits?: Record<string, string> },
  description: string,
) =>
  z
    .looseObject({
      requests: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
      limits: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    })
    .default(standard)
    .describe(description);

/** By how much a limit exceeds what a pod asks for; 0 is no limit. */
export const limitFactor = (standard: number, description: string) =>
  z
    .union([z.number().min(1).max(64), z.literal(0)])
    .default(standard)
    .describe(description);

/** Fields that the chart states, each of which can be given another value, or null to leave it out. */
export const statedFields = (standard: Record<string, unknown>, description: string) =>
  z.record(z.string(), z.unknown()).default(standard).describe(description);

/** What Pod Security `restricted` asks of a pod, and the user of our images. */
export const podSecurity = () =>
  statedFields(
    {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      fsGroup: 65532,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    "The pod's security context; null takes a field away.",
  );

/** What it asks of a container. */
export const containerSecurity = () =>
  statedFields(
    {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
    },
    "The container's security context; null takes a field away.",
  );

/** When a probe looks and how often it may fail; what it asks is the chart's. */
export const probe = (standard: Record<string, number>, description: string) =>
  z.record(z.string(), z.int()).default(standard).describe(description);

export const history = () =>
  z.int().min(0).default(3).describe('Old revisions that are kept for a rollback.');

export const service = (whose: string) =>
  z
    .strictObject({
      labels: strings('More labels.'),
      annotations: strings('More annotations.'),
    })
    .prefault({})
    .describe(`The Service of ${whose}.`);

/** Where pods may run. */
export const scheduling = (whose: string) => ({
  nodeSelector: strings(`Labels of the nodes where ${whose} may run.`),
  tolerations: listPassedOn(`Taints that ${whose} bear.`),
  affinity: passedOn(`Affinity of ${whose}.`),
  priorityClassName: objectName(`Priority class of ${whose}.`),
});
