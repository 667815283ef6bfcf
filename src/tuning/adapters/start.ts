// Random initialisation of adapter tensors.
import type { Random } from '../../data/index.ts';

/** Evenly from -bound to bound; torch.nn.Linear starts so with 1 / sqrt(inputs). */
export const uniform = (random: Random, size: number, bound: number): Float32Array =>
  Float32Array.from({ length: size }, () => bound * (random.next() / 2 ** 31 - 1));
