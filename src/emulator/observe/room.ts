// The memory that observing takes beside the batches in flight, known before any block is run.
import { badSpec } from '../../api/index.ts';
import type { PackedBatch } from '../../data/index.ts';
import { type Decoder, linearMaps, mapSize } from '../../model/index.ts';
import { includes, type ObservationName } from './observations.ts';
import { triangleLength } from './sums.ts';

/**
 * What is left of the memory beside one block's sums and what one batch adds to them.
 * @throws OffsiteError BadSpec where that is nothing
 */
export function memoryLeft(
  decoder: Decoder,
  [batch]: readonly PackedBatch[],
  observed: ObservationName,
  memory: number,
): number {
  if (batch === undefined || observed === 'influence') return memory;
  const forward = decoder.inputWidths(0, batch).reduce((bytes, width) => bytes + ofSquare(width), 0);
  const backward = linearMaps(decoder.config.block(0)).reduce((bytes, [, map]) => {
    const { to, from } = mapSize(map);
    return bytes + ofSquare(to) + (ofBatch + ofSum) * to * from;
  }, 0);
  const taken = Math.max(forward, includes(observed, 'gradients') ? backward : 0);
  if (taken < memory) return memory - taken;
  const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)}Mi`;
  throw badSpec(
    `spec.engine.memory: what is observed of one layer takes ${mebibytes(taken)}, and the stage may take ${mebibytes(memory)}; raise it (and the pod's memory with it)`,
  );
}

/** Bytes of a number: in float32 what a batch adds, and the sum of two float64. */
const ofBatch = 4;
const ofSum = 16;
const ofSquare = (n: number) => ofBatch * n * n + ofSum * triangleLength(n);
