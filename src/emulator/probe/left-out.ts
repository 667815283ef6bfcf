// Which layers are missed least over the probe's rows; the losses known so far are kept beside the pooled states.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  canonicalJson,
  inPlace,
  type Keeper,
  readKept,
  sha256,
  writeWholeAmongOthers,
} from '../../artifact/index.ts';
import type { Engine } from '../../engine/index.ts';
import { Decoder, type Model, weightsOf } from '../../model/index.ts';
import { progressOf } from '../../progress/index.ts';
import type { RowsKey } from '../observe/files.ts';
import { type RemovalStep, removalBlocks, removeGreedily } from '../observe/removal.ts';
import { type BuildInput, probeBatches } from './stage.ts';

/**
 * The layers in the order in which they are left out, `count` of them. A process that was killed has left what it knew, and
 * another count goes on where it ended.
 * @throws OffsiteError what `removeGreedily` throws
 */
export async function leaveOut(
  engine: Engine,
  model: Model,
  { key, count }: { key: RowsKey; count: number },
  input: BuildInput,
): Promise<number[]> {
  const keeper = input.keeper ?? inPlace;
  const path = join(input.work, `${nameOf(key)}.removal.json`);
  mkdirSync(input.work, { recursive: true });
  await keeper.pull(path, { exact: true });
  const steps = readSteps(path);
  const batches = await probeBatches(model, engine, key.data, input);
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: input.memory / 4 }));
  const total = removalBlocks(decoder.depth, count, batches.length);
  return removeGreedily(decoder, batches, {
    count,
    steps,
    keep: (removal) => keep(path, steps, removal === 'done' ? keeper : inPlace),
    memory: input.memory / 4,
    progress: progressOf('assemble', total, input.emit),
  });
}

/** Another pooling asks the same. */
function nameOf({ model, tokenizer, data, format, samples, maxLength, precision }: RowsKey): string {
  const rows = { model, tokenizer, data, format, samples, maxLength, ...(precision && { precision }) };
  const address = { ...rows, observed: 'removal' };
  return sha256(canonicalJson(address)).replace('sha256:', '');
}

const stepsSchema = z.array(
  z.strictObject({
    removed: z.int().nonnegative().optional(),
    losses: z.record(z.string(), z.array(z.number())),
  }),
);

/** A damaged file is as good as none: what it had is computed again. */
const readSteps = (path: string): RemovalStep[] => readKept(stepsSchema, path) ?? [];

async function keep(path: string, steps: readonly RemovalStep[], keeper: Keeper): Promise<void> {
  writeWholeAmongOthers(path, canonicalJson(steps));
  await keeper.push(path, { exact: true });
}
