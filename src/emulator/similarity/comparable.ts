// The memory that a comparison of layers takes, known before any layer is run.
import { badSpec } from '../../api/index.ts';
import type { Likeness } from './similarity.ts';

export interface Compared {
  readonly samples: number;
  readonly layers: number;
  readonly width: number;
}

/**
 * @param memory bytes that the comparison may take
 * @throws OffsiteError BadSpec where so many samples cannot be compared in it
 */
export function checkComparable(compared: Compared, metric: Likeness, memory: number): void {
  const needed = bytesOf(compared, metric);
  if (needed <= memory) return;
  const { samples, layers } = compared;
  let most = samples;
  while (most > 2 && bytesOf({ ...compared, samples: most }, metric) > memory) most = Math.floor(most * 0.95);
  const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)}Mi`;
  throw badSpec(
    `spec.probe.samples: comparing ${samples} samples of ${layers} layers takes ${mebibytes(needed)}, and the stage may take ${mebibytes(memory)}; use at most ${most} samples, or raise spec.engine.memory (and the pod's memory with it)`,
  );
}

/** Every layer's pooled states, what is compared of each (`similarity.ts`), and room for one layer's matrices. */
function bytesOf({ samples: n, layers, width }: Compared, metric: Likeness): number {
  const states = 4 * layers * n * width;
  if (metric === 'cosine' || metric === 'angular') return states + 8 * layers * n * width;
  const triangle = (n * (n + 1)) / 2;
  return states + 8 * (layers * triangle + n * width + 3 * n ** 2);
}
