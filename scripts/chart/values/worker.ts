import { z } from 'zod';
import {
  hosts,
  image,
  imageBeside,
  limitFactor,
  listPassedOn,
  objectName,
  passedOn,
  resources,
  scheduling,
  strings,
} from './fields.ts';

const pods = (whose: string) => ({
  resources: resources({}, `Requests and limits of the container worker in ${whose}.`),
  ...scheduling(whose),
  runtimeClassName: objectName(`Runtime class of ${whose}.`),
});

export const worker = z
  .strictObject({
    image: image('offsite-worker', 'Image of the pods that compute (CPU); `make images` builds it.'),
    imagePullSecrets: listPassedOn(
      "Pull secrets of worker pods: [{name: ...}]; the Secrets lie in the users' namespaces.",
    ),
    httpsHosts: hosts(
      'Hosts that worker pods may ask over HTTPS, by https:// and hf:// addresses and by what these redirect to, ' +
        'such as data.example.com, huggingface.co and *.hf.co; any host where empty.',
    ),
    allowInTemplates: z
      .strictObject({
        serviceAccounts: z
          .boolean()
          .default(false)
          .describe('Service accounts by name, and their tokens in volumes.'),
        hostNamespaces: z
          .boolean()
          .default(false)
          .describe("The node's network, ports, processes and shared memory, and probes of other hosts."),
        hostPaths: z.boolean().default(false).describe("The node's files, as volumes."),
        privileges: z
          .boolean()
          .default(false)
          .describe(
            'Containers beside `worker` that are privileged or have more rights than containers usually have.',
          ),
      })
      .prefault({})
      .describe("What a resource's spec.template may ask for; worker.template may ask for all of it."),
    limitFactors: z
      .strictObject({
        memory: limitFactor(
          2,
          'How many times spec.engine.memory and 1Gi the memory limit is (4Gi and 1Gi where a resource does not say), ' +
            '2Gi above that at least; 1: no more than that; 0: no limit.',
        ),
        ephemeralStorage: limitFactor(
          0,
          "How many times its request the limit of a pod's own disk is, 2Gi above it at least. Requests guess what " +
            'nobody tells of models and artifacts in stores, so that large honest ones may need more; 0: no limit.',
        ),
      })
      .prefault({})
      .describe(
        'Limits of the container worker where no template states one: what takes more than was reckoned ends its own pod only.',
      ),
    labels: strings('More labels of worker pods.'),
    annotations: strings('More annotations of worker pods.'),
    ...pods('all worker pods'),
    cuda: z
      .strictObject({
        image: imageBeside('offsite-worker-cuda', 'Image of worker pods with engine.provider: cuda.'),
        ...pods('worker pods with engine.provider: cuda'),
      })
      .prefault({})
      .describe('What GPU workers have beside or instead of the above.'),
    template: passedOn('A pod template (metadata, spec) under all others, for what has no value of its own.'),
  })
  .prefault({})
  .describe("Defaults of the pods that compute; a resource's spec.template goes over them.");
