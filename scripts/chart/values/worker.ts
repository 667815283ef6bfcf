import { z } from 'zod';
import {
  extendedResource,
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

/** What pods of a provider that computes on a GPU have beside or instead of what all have. */
const gpuWorkers = (provider: string, gpu: string, description: string) =>
  z
    .strictObject({
      image: imageBeside(
        `offsite-worker-${provider}`,
        `Image of worker pods with engine.provider: ${provider}.`,
      ),
      gpu: extendedResource(
        gpu,
        "Resource of the nodes' device plugin of which each of these pods has one, with the taint that goes with it; none where " +
          'empty. A GPU of any sort in resources, a template or a claim takes its place.',
      ),
      deviceGroups: z
        .array(z.int().min(1))
        .max(16)
        .default([])
        .describe(
          "Groups, by number, that may open the nodes' /dev/dri: those of video and render, where AMD's or Intel's GPUs are.",
        ),
      ...pods(`worker pods with engine.provider: ${provider}`),
    })
    .prefault({})
    .describe(description);

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
    cuda: gpuWorkers(
      'cuda',
      'nvidia.com/gpu',
      'What pods with engine.provider: cuda have beside or instead of the above.',
    ),
    webgpu: gpuWorkers(
      'webgpu',
      '',
      'The same of engine.provider: webgpu. Which vendor the nodes have is said here: gpu is nvidia.com/gpu, amd.com/gpu, ' +
        'gpu.intel.com/i915 or gpu.intel.com/xe, and empty where pods claim theirs, or need none.',
    ),
    template: passedOn('A pod template (metadata, spec) under all others, for what has no value of its own.'),
  })
  .prefault({})
  .describe("Defaults of the pods that compute; a resource's spec.template goes over them.");
