// An adapter that a training goes on from: its values are the first ones, and everything else begins anew.
import { badSpec, type OffsiteTuneSpec } from '../api/index.ts';
import { type CheckedFiles, canonicalJson } from '../artifact/index.ts';
import type { TrainedTensor } from '../training/index.ts';
import { loraOptionsOf } from './adapters/index.ts';

type AdapterSpec = OffsiteTuneSpec['adapter'];

/** An adapter of the same bundle that passed every check of one that comes back. */
export interface Start {
  readonly digest: string;
  /** `spec.adapter` of what trained it. */
  readonly type: AdapterSpec;
  /** Its files, which must still be these when all has been read of them. */
  readonly checked: CheckedFiles;
  read(tensor: string, options: { into: Float32Array }): Float32Array;
  close(): void;
}

/**
 * @param modules all linear maps of the layers that are trained
 * @throws OffsiteError BadSpec where the tensors of the two adapters mean other things
 */
export function checkStart(start: Start, adapter: AdapterSpec, modules: readonly string[]): void {
  const [theirs, ours] = [start.type, adapter].map((one) => formOf(one, modules));
  if (canonicalJson(theirs) !== canonicalJson(ours))
    throw badSpec(
      `spec.adapter: is ${canonicalJson(ours)}, and the adapter of spec.start is ${canonicalJson(theirs)}; they must be the same`,
    );
}

/**
 * What an adapter's tensors mean, defaults written out; dropout changes how they train, and nothing that they are.
 * @param modules all linear maps of the layers that are trained: a list of all of them is none
 */
export function formOf(adapter: AdapterSpec, modules: readonly string[]): object {
  const { type, size = 64, head = false } = adapter;
  if (type === 'bottleneck') return { type, size, head };
  if (type !== 'lora') return { type, head };
  const { rank, alpha, targetModules } = loraOptionsOf(adapter);
  const some = modules.every((name) => targetModules?.includes(name)) ? undefined : targetModules;
  return { type, rank, alpha, head, ...(some && { targetModules: [...some].sort() }) };
}

/** Puts the values of an adapter in the place of those that its kind begins with. */
export function startFrom({ read }: Start, tensors: readonly TrainedTensor[]): void {
  for (const { name, values, best } of tensors) best.set(read(name, { into: values }));
}
