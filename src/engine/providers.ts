// What providers make of weights and halves, and what stands in for a device that is not there.
import type { Halving, Replacement, Value } from '../graph/index.ts';
import { webgpuReplacements } from './webgpu.ts';

/** How a provider computes. */
export interface Way {
  /** Weights that stay as they are go there in each run, are held on its device, or are stored in its sessions. */
  readonly weights: 'given' | 'held' | 'stored';
  /** What it computes products with halves of: see `Halving`. */
  readonly products: Halving['products'];
  /** What it has no kernels for. */
  readonly replacements?: Readonly<Record<string, Replacement>>;
}

export const ways = {
  cpu: { weights: 'given', products: 'float32' },
  // Its product of halves adds up in halves (onnxruntime 1.30, webgpu/math/matmul_packed.cc).
  webgpu: { weights: 'held', products: 'float32', replacements: webgpuReplacements },
  // Its product of halves adds up in float32 (cuda/shared_inc/fpgeneric.h). The binding keeps no tensors there, sessions do.
  cuda: { weights: 'stored', products: 'half' },
} as const satisfies Readonly<Record<string, Way>>;

/** CUDA's way on the CPU, which has no product of halves: it is computed in float32 and rounded, as CUDA rounds it. */
export const cudaOnCpu: Way = {
  ...ways.cuda,
  replacements: {
    MatMul(g, { inputs, outputs }) {
      const [y] = outputs as [Value];
      const wide = inputs.map((factor) => g.cast(factor, 'float32'));
      return [g.cast(g.apply('MatMul', wide, y.shape), y.dtype)];
    },
  },
};
