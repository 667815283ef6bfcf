import { z } from 'zod';
import {
  containerSecurity,
  history,
  image,
  listPassedOn,
  objectName,
  podSecurity,
  probe,
  quantity,
  resources,
  scheduling,
  service,
  strings,
  text,
} from './fields.ts';

export const nats = z
  .strictObject({
    mode: z
      .enum(['embedded', 'external'])
      .default('embedded')
      .describe('embedded: one nats-server of this release; external: yours.'),
    authSecret: objectName(
      'Secret with the keys. embedded: the operator makes it, <release>-nats-auth where empty. external: yours, with operator.creds, account.seed and pods.seed; empty where that NATS asks for none.',
    ),
    external: z
      .strictObject({
        url: z
          .string()
          .regex(/^((nats|tls):\/\/[^\s@]+)?$/)
          .default('')
          .describe(
            'nats://host:4222 or tls://host:4222, several by commas, reachable from operator and workers.',
          ),
      })
      .prefault({})
      .describe('A NATS with JetStream that is there already.'),
    tls: z
      .strictObject({
        secretName: objectName(
          "Secret with ca.crt, and with embedded also tls.crt and tls.key for the server's name, as cert-manager writes it. Embedded then speaks TLS only. Pods get ca.crt with their credentials.",
        ),
      })
      .prefault({})
      .describe('TLS with certificates of an authority of your own.'),
    image: image(
      'nats',
      'Image of the embedded server: nats-server on its PATH.',
      '2.14.5-alpine',
      'Never empty.',
    ),
    persistence: z
      .strictObject({
        enabled: z
          .boolean()
          .default(true)
          .describe('A claim for the stream; false: an emptyDir, whose events are lost with the pod.'),
        size: quantity('4Gi', 'Size of the claim or of the emptyDir.'),
        existingClaim: objectName('A claim that is there already, instead of one of the chart.'),
        storageClassName: text("Storage class; the cluster's own where empty."),
      })
      .prefault({})
      .describe('Where the stream lies.'),
    maxStorage: quantity('3Gi', 'What JetStream may store; less than persistence.size.'),
    extraConfig: text("Lines added to nats-server's configuration."),
    resources: resources(
      { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
      "The server's requests and limits.",
    ),
    ...scheduling("the server's pod"),
    podLabels: strings("More labels of the server's pod."),
    podAnnotations: strings("More annotations of the server's pod."),
    extraArgs: z.array(z.string()).default([]).describe('More arguments of nats-server.'),
    extraEnv: listPassedOn("More environment variables of the server's container."),
    extraVolumes: listPassedOn('More volumes, such as certificates that extraConfig names.'),
    extraVolumeMounts: listPassedOn("More mounts of the server's container."),
    securityContext: podSecurity(),
    containerSecurityContext: containerSecurity(),
    revisionHistoryLimit: history(),
    startupProbe: probe({ periodSeconds: 2, failureThreshold: 90 }, 'How long a start may take.'),
    livenessProbe: probe(
      { periodSeconds: 10, timeoutSeconds: 5 },
      'When a server that does not answer is started again.',
    ),
    readinessProbe: probe({ periodSeconds: 5, timeoutSeconds: 5 }, 'When the server counts as ready.'),
    service: service('the server'),
  })
  .prefault({})
  .describe('The way of progress, warnings and results from pods to the operator and to `offsite watch`.');
