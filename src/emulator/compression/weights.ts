// A layer's linear maps as matrices, and the way back.
import type { Model, Slot } from '../../model/index.ts';
import { type Matrix, matrix, transposed } from '../algebra/matrix.ts';

/** A linear map as [to, from], whichever way round it is stored. */
export function weightOf({ read }: Pick<Model, 'read'>, slot: Slot): Matrix {
  const [rows, columns] = slot.shape as [number, number];
  const stored = matrix(rows, columns, read(slot.name));
  return slot.transposed ? transposed(stored) : stored;
}

/** The elements of a map [to, from] as the slot stores it. */
export const storedAs = (slot: Slot, w: Matrix): Float32Array =>
  Float32Array.from((slot.transposed ? transposed(w) : w).data);
