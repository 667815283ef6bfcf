// Signs of a probe set that is too small or too uniform to tell layers apart.
import { sha256 } from '../../artifact/index.ts';

/** Below this share of unlike rows most of a probe set says the same again. */
const leastUnlike = 0.5;

/**
 * Why similarities say little of a model's layers, in words; nothing where they do not.
 * @param rows of the probe set, as they were read
 * @param matrix of similarities, 1 the most similar
 */
export function doubtsOf(
  rows: readonly unknown[],
  matrix: readonly (readonly number[])[],
): string | undefined {
  const unlike = new Set(rows.map((row) => sha256(JSON.stringify(row)))).size;
  if (unlike === 1)
    return `all ${rows.length} rows of the probe set are equal, and similarities of layers are chance: take other rows`;
  const values = matrix.flatMap((row, i) => row.slice(i + 1));
  const extreme = values.length > 0 && values.every((value) => isNear(value, 0) || isNear(value, 1));
  if (extreme)
    return `every similarity of two layers is 0 or 1, with ${rows.length} rows of the probe set: take more rows, and look at the model's weights`;
  if (unlike < leastUnlike * rows.length)
    return `only ${unlike} of the probe set's ${rows.length} rows differ: take others, or spec.probe.samples: ${unlike}`;
  return undefined;
}

const isNear = (value: number, other: number) => Math.abs(value - other) < 1e-6;
