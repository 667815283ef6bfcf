// Spec fields that are the same for all kinds: the engine, the work place, and how Jobs run in a cluster.
import { z } from 'zod';
import { integer, quantity } from './fields.ts';
import { withRules } from './rules.ts';
import { Work } from './sources.ts';

/** The precisions that a provider has not. */
const missing: Readonly<Record<string, readonly string[]>> = {
  cpu: ['float16', 'bfloat16'],
  webgpu: ['bfloat16'],
};

const EngineFields = z.strictObject({
  provider: z
    .enum(['cpu', 'cuda', 'webgpu'])
    .default('cpu')
    .describe('What computes: cpu; cuda for an NVIDIA GPU; webgpu for a GPU of any vendor that has Vulkan.'),
  precision: z
    .enum(['float32', 'bfloat16', 'float16'])
    .default('float32')
    .describe(
      'The type of frozen weight matrices where graphs run, and with cuda of the products with them. Sums, norms, attention, losses, and all that trains, are float32. cpu has float32, webgpu also float16, cuda all.',
    ),
  threads: integer(1, 256)
    .default(2)
    .describe('Threads of the CPU provider; the same spec and threads give the same digest.'),
  memory: quantity
    .optional()
    .describe(
      'What the computation may take; it decides how much is kept and how much is computed again. With webgpu also how much of the weights stays on the device, the others go there in each run; with cuda how much of them lies there, half of what the device has free when absent.',
    ),
});

export const Engine = withRules(EngineFields, {
  holds: ({ provider, precision }) => !missing[provider]?.includes(precision),
  cel: "!has(self.precision) || self.precision == 'float32' || (has(self.provider) && (self.provider == 'cuda' || (self.provider == 'webgpu' && self.precision == 'float16')))",
  message:
    'must be one that the provider has: float32; with webgpu also float16; with cuda also float16 and bfloat16',
  path: ['precision'],
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
