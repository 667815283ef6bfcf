// Verification of weights, value by value and in bounded memory.
import { join } from 'node:path';
import { badModel } from '../../api/index.ts';
import type { OpenedArtifact } from '../../artifact/index.ts';
import { type Checkpoint, isReadable, openCheckpoint, type TensorInfo } from '../../checkpoint/index.ts';

/** Elements that are in memory at a time. */
const elementsAtOnce = 1 << 24;

/**
 * Reads every weight in parts, so that memory is bounded whatever its size.
 * @param use gets the elements from number `first` on
 */
export function eachPart(
  { name, dtype, shape }: TensorInfo,
  read: Checkpoint['read'],
  use: (values: Float32Array, first: number) => void,
): void {
  // Of nothing there may be 2^53 rows.
  if (!isReadable(dtype) || shape.includes(0)) return;
  const rows = shape[0] ?? 1;
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  const step = Math.max(1, Math.floor(elementsAtOnce / Math.max(1, width)));
  for (let row = 0; row < rows; row += step)
    use(read(name, { rows: [row, Math.min(rows, row + step)] }), row * width);
}

/** @throws OffsiteError BadModel naming the element, where one is beyond `most` or no number */
export function checkValues(
  tensor: TensorInfo,
  read: Checkpoint['read'],
  where: string,
  most = Number.MAX_VALUE,
): void {
  eachPart(tensor, read, (values, first) => {
    const at = values.findIndex((value) => !(Math.abs(value) <= most));
    if (at < 0) return;
    const value = values[at] as number;
    throw badModel(
      `${where}: tensor ${tensor.name} holds ${value} (element ${first + at}); ${Number.isFinite(value) ? `no weight is beyond ${most}` : 'values must be finite'}`,
    );
  });
}

/** Reads the tensors of all safetensors files of an artifact. @returns how many there are */
export function checkTensorFiles({ directory, manifest, checked }: OpenedArtifact): number {
  const files = manifest.files.filter(({ path }) => path.endsWith('.safetensors'));
  let count = 0;
  for (const { path } of files) {
    const checkpoint = openCheckpoint(join(directory, path), checked);
    try {
      for (const tensor of checkpoint.tensors.values()) {
        checkValues(tensor, (name, options) => checkpoint.read(name, options), join(directory, path));
        count++;
      }
    } finally {
      checkpoint.close();
    }
  }
  return count;
}
