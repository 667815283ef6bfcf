// Spec fields that are the same for all kinds: the engine, the work place, and how Jobs run in a cluster.
import { z } from 'zod';
import { integer, quantity } from './fields.ts';
import { Work } from './sources.ts';

export const Engine = z
  .strictObject({
    provider: z
      .enum(['cpu', 'cuda', 'webgpu'])
      .default('cpu')
      .describe(
        'What computes: cpu; cuda for an NVIDIA GPU; webgpu for a GPU of any vendor that has Vulkan.',
      ),
    precision: z.enum(['float32']).default('float32').describe('Precision of the computation.'),
    threads: integer(1, 256)
      .default(2)
      .describe('Threads of the CPU provider; the same spec and threads give the same digest.'),
    memory: quantity
      .optional()
      .describe(
        'What the computation may take; it decides how much is kept and how much is computed again. With webgpu also how much of the weights stays on the device, the others go there in each run.',
      ),
  })
  .prefault({})
  .describe('How the numbers are computed.');
export type Engine = z.output<typeof Engine>;

/** How a resource runs in a cluster; none of it changes a result. */
export const jobFields = {
  work: Work.optional().describe(
    "Where checkpoints, pooled states, loss histories, analyses and likelihoods of rows lie: never beside an output that others read. When absent: `<work-dir>/work` with `offsite run`; in a cluster `.offsite-work` on the output's claim, or, where the output lies in a store, the pod's own disk, from which nothing is kept: a pod that dies begins anew, and `probe` and `assemble` are one Job.",
  ),
  suspend: z
    .boolean()
    .default(false)
    .describe('Stops the work after a checkpoint; false goes on from there.'),
  template: z
    .looseObject({})
    .optional()
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .describe(
      'A pod template that is merged under ours: metadata and spec with resources, tolerations, nodeSelector, volumes and so on.',
    ),
  ttlSecondsAfterFinished: integer(0, 2147483647)
    .optional()
    .describe('How long finished Jobs stay; artifacts and this resource stay.'),
  activeDeadlineSeconds: integer(1, 2147483647)
    .optional()
    .describe('How long a Job may take before it fails.'),
  backoffLimit: integer(0, 1000)
    .default(6)
    .describe(
      'How often a pod, of each shard where several share a stage, is tried again after a failure that another try may mend.',
    ),
};
