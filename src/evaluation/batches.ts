import { capacityFor, type Example, type PackedBatch, pack } from '../data/index.ts';
import type { Architecture } from '../model/index.ts';

/** About how many floating-point operations one call of a block may take, so that cancelling waits about a second. */
const callOperations = 6e10;
const mostTokens = 2048;

/**
 * Packs examples into batches whose shape follows from the rows and the model alone (never from free memory), so that
 * the same input gives the same numbers anywhere.
 */
export function packForModel(examples: readonly Example[], architecture: Architecture): PackedBatch[] {
  const capacity = capacityFor(examples);
  const tokens = Math.min(mostTokens, callOperations / (2 * largestBlock(architecture)));
  return pack(examples, { capacity, batch: Math.max(1, Math.floor(tokens / capacity)) });
}

/** The parameters of the block that has most. */
function largestBlock(architecture: Architecture): number {
  let largest = 0;
  for (let layer = 0; layer < architecture.depth; layer++) {
    const shapes = Object.values(architecture.block(layer)).map(({ shape }) => shape);
    largest = Math.max(
      largest,
      shapes.reduce((sum, shape) => sum + shape.reduce((product, length) => product * length, 1), 0),
    );
  }
  return largest;
}
