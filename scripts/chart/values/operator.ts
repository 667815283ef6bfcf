import { z } from 'zod';
import {
  containerSecurity,
  history,
  image,
  listPassedOn,
  objectName,
  podSecurity,
  port,
  probe,
  resources,
  scheduling,
  service,
  statedFields,
  strings,
} from './fields.ts';

export const operator = z
  .strictObject({
    replicas: z.int().min(1).max(5).default(2).describe('Replicas: one leads, the others wait to take over.'),
    image: image('offsite-operator', "The operator's image; `make images` builds it."),
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('How much the operator logs (JSON lines).'),
    port: port(8080, 'Port of /metrics, /healthz and /readyz.'),
    resources: resources(
      { requests: { cpu: '50m', memory: '160Mi' }, limits: { memory: '512Mi' } },
      "The operator's requests and limits.",
    ),
    ...scheduling("the operator's pods"),
    topologySpreadConstraints: listPassedOn(
      'How replicas are spread; where empty, over nodes and zones as far as that is possible.',
    ),
    podDisruptionBudget: z
      .strictObject({
        enabled: z.boolean().default(true).describe('Whether a drain leaves all replicas but one in place.'),
      })
      .prefault({})
      .describe('Protection from voluntary disruptions; only with two replicas or more.'),
    flowSchema: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe(
            'A FlowSchema of the cluster, by which requests about the Lease do not queue behind other ones.',
          ),
      })
      .prefault({})
      .describe("The API server's priority and fairness."),
    serviceAccount: z
      .strictObject({
        create: z.boolean().default(true).describe('Whether the chart makes the service account.'),
        name: objectName("Its name; the release's name and -operator where empty."),
        annotations: strings('Annotations of the service account.'),
      })
      .prefault({})
      .describe('As whom the operator talks to the API server.'),
    podLabels: strings("More labels of the operator's pods."),
    podAnnotations: strings("More annotations of the operator's pods."),
    concurrency: z
      .int()
      .min(1)
      .max(64)
      .default(8)
      .describe('Resources of a kind that are looked at at once.'),
    extraArgs: z
      .array(z.string())
      .default([])
      .describe("More arguments of the operator, such as --namespaces=models; they go over the chart's."),
    extraEnv: listPassedOn(
      "More environment variables of the operator's container; one of the chart's own name takes its place.",
    ),
    extraVolumes: listPassedOn('More volumes, such as the certificate of a private CA.'),
    extraVolumeMounts: listPassedOn("More mounts of the operator's container."),
    terminationGracePeriodSeconds: z
      .int()
      .min(1)
      .default(30)
      .describe('How long a replica has to finish its writes and to give the lease back.'),
    securityContext: podSecurity(),
    containerSecurityContext: containerSecurity(),
    strategy: statedFields(
      { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      'How replicas are replaced at an upgrade.',
    ),
    revisionHistoryLimit: history(),
    startupProbe: probe({ periodSeconds: 2, failureThreshold: 150 }, 'How long a start may take.'),
    livenessProbe: probe(
      { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
      'When a replica that does not answer is started again.',
    ),
    readinessProbe: probe({ periodSeconds: 5, timeoutSeconds: 5 }, 'When a replica counts as ready.'),
    service: service('the operator'),
  })
  .prefault({})
  .describe('The control plane.');
