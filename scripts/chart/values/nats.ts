import { z } from 'zod';
import {
  image,
  listPassedOn,
  objectName,
  passedOn,
  quantity,
  resources,
  scheduling,
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
      'Secret with the keys. embedded: the operator makes it, <release>-nats-auth where empty. external: yours, with operator.creds and account.seed; empty where that NATS asks for none.',
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
    extraVolumes: listPassedOn('More volumes, such as certificates that extraConfig names.'),
    extraVolumeMounts: listPassedOn("More mounts of the server's container."),
    securityContext: passedOn(
      'Fields over the pod security context, such as another fsGroup or seLinuxOptions.',
    ),
  })
  .prefault({})
  .describe('The way of progress, warnings and results from pods to the operator and to `offsite watch`.');
