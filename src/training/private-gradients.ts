// The gradient of a step that hides its rows: each row's is clipped, the sum gets noise (DP-SGD, arXiv 1607.00133).
import type { PackedBatch } from '../data/index.ts';
import { clipScale, globalNorm } from './optimiser.ts';
import type { TrainedTensor } from './state.ts';

/** How rows are hidden. */
export interface HiddenRows {
  /** Largest norm of a row's gradient over all that is trained. */
  readonly clipNorm: number;
  /** What the sum of the rows' gradients is divided by: how many rows a step has in the mean, never how many this one has. */
  readonly expectedRows: number;
  /** Standard deviation of what is added to each element of the sum. */
  readonly deviation: number;
  /** A source of standard normal numbers for one tensor and step; from a secret: who can draw it again can take it away. */
  normal(tensor: string, step: number): () => number;
}

/** The gradients of tensors, by the part that they belong to. */
export type PartGradients<Part> = ReadonlyMap<Part, readonly Float32Array[]>;

export interface PrivateGradients<Part> {
  /** The mean of each row's own loss over the rows that count and have a token to predict; NaN where there are none. */
  readonly loss: number;
  readonly gradients: PartGradients<Part>;
  /** How many rows have a token to predict, and so a gradient. */
  readonly taken: number;
  /** How many rows' gradients were clipped. */
  readonly clipped: number;
  /** How many rows counted as zero. */
  readonly notFinite: number;
}

/**
 * (sum over rows of g min(1, clipNorm / |g|) + noise) / expectedRows. The unit is the row: its loss is its own, over its own
 * targets. Rows are computed one after the other, so that no more than one row's gradient and the sum are held. The sum is in
 * float64, and rounded once with the noise: in float32 one row can change how thousands of others round, and so move the sum by more
 * than clipNorm (arXiv 2207.10635). A step
 * without rows is noise alone. A row whose loss or gradient is not finite counts as zero, which is no longer than clipNorm: were the
 * training to end with it, that no adapter comes would tell of the row, and whoever made the emulator may choose on which rows it
 * overflows.
 * @param rows batches of one row each
 * @param gradientsOf the objective's loss and gradients of one row as a whole step
 */
export async function privateGradients<Part extends { readonly tensors: readonly TrainedTensor[] }>(
  rows: readonly PackedBatch[],
  parts: Iterable<Part>,
  step: number,
  {
    hidden: { clipNorm, expectedRows, deviation, normal },
    gradientsOf,
  }: {
    hidden: HiddenRows;
    gradientsOf(row: PackedBatch): Promise<{ loss: number; gradients: PartGradients<Part> }>;
  },
): Promise<PrivateGradients<Part>> {
  const sums = new Map(
    [...parts].map((part) => [part, part.tensors.map(({ values }) => new Float64Array(values.length))]),
  );
  let [loss, taken, clipped, notFinite] = [0, 0, 0, 0];
  for (const row of rows) {
    if (row.targets.length > 0) taken += 1;
    const found = await gradientsOf(row);
    const norm = globalNorm([...found.gradients.values()].flat());
    if (!Number.isFinite(found.loss) || !Number.isFinite(norm)) {
      notFinite += 1;
      continue;
    }
    const scale = clipScale(norm, clipNorm);
    if (scale < 1) clipped += 1;
    loss += found.loss;
    for (const [part, own] of found.gradients)
      for (const [i, of] of own.entries()) addScaled(sums.get(part)![i]!, of, scale);
  }
  const gradients = new Map(
    [...sums].map(([part, own]) => [
      part,
      own.map((sum, i) => {
        const { name, trains } = part.tensors[i]!;
        addNoise(sum, deviation, normal(name, step), trains);
        return Float32Array.from(sum, (value) => value / expectedRows);
      }),
    ]),
  );
  return { loss: loss / (taken - notFinite), gradients, taken, clipped, notFinite };
}

function addScaled(sum: Float64Array, more: Float32Array, scale: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (more[i] as number) * scale;
}

/** To what trains alone: an element that stays as it is tells nothing, and must stay so. */
function addNoise(
  sum: Float64Array,
  deviation: number,
  normal: () => number,
  trains: (place: number) => boolean = () => true,
): void {
  for (let at = 0; at < sum.length; at++)
    if (trains(at)) sum[at] = (sum[at] as number) + deviation * normal();
}
