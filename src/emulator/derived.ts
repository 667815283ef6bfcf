// The blocks that are not exact: derived one by one into files, so that memory is bounded by a block and a killed pod goes on.
import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { badSpec } from '../api/index.ts';
import { clearAt, identityOf, isThere, namesToClear } from '../artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../checkpoint/index.ts';
import { type BlockShape, slotsIn } from '../model/index.ts';
import { type Emit, progressOf } from '../progress/index.ts';
import type { Compression, Given } from './compression/compression.ts';
import { type CompressionOptions, compressionOf } from './compression/index.ts';
import type { Shapes } from './plan/layout.ts';
import type { ProbeKey } from './probe/states.ts';

/** What a bundle holds beside the full model's own tensors. */
export interface Derived {
  readonly shapes: Shapes;
  /** By their names in the bundle. */
  readonly names: ReadonlySet<string>;
  /** float32, row-major, before they are rounded to what the bundle stores. */
  read(name: string): Float32Array;
}

/** Every block exact. */
export const nothingDerived: Derived = {
  shapes: new Map(),
  names: new Set(),
  read(name) {
    throw new Error(`${name} was not derived`);
  },
};

/** Of how blocks are derived: what was derived in another way is not gone on from. */
const method = 2;

/** The values of those slots of a shaped block that are not the layer's own tensors. */
export type Derive = (layer: number, shape: BlockShape) => ReturnType<Compression<unknown>['derive']>;

export interface DeriveInput {
  /** All that observations and plan depend on: what was derived of other rows is not gone on from. */
  readonly probed: ProbeKey;
  /** What has the compression's values already, to the bits; it derives them when absent. */
  readonly derive?: Derive | undefined;
  readonly emit: Emit;
}

/**
 * Derives the blocks of the kept layers that do not train.
 * @param own a directory of this resource alone
 * @throws OffsiteError Cancelled between two tensors; BadSpec where a value is not finite
 */
export async function deriveBlocks(
  own: string,
  given: Given,
  options: CompressionOptions,
  { probed, derive, emit }: DeriveInput,
): Promise<Derived> {
  const { plan, model, engine } = given;
  const compression = compressionOf(options);
  const layers = plan.kept.filter((layer) => !plan.transferLayers.includes(layer));
  const shapes = await compression.plan(layers, given);
  // A plan may come as a record with more, on which no block depends.
  const { clusters, kept, transferLayers, source } = plan;
  const plain = { clusters, kept, transferLayers, source };
  const identity = identityOf({
    madeFrom: { model: probed.model, probe: probed.data },
    hyperparameters: { method, probed, plan: plain, options, shapes: [...shapes] },
  });
  const directory = join(own, `blocks-${identity.slice('sha256:'.length, 'sha256:'.length + 16)}`);
  mkdirSync(directory, { recursive: true });
  // Where they are taken from lies beside.
  if (derive === undefined) clearOthers(directory);
  const progress = progressOf('assemble: compress', shapes.size, emit);
  const files = new Map<string, string>();
  for (const [layer, shape] of shapes) {
    engine.throwIfCancelled();
    const path = join(directory, `${layer}.safetensors`);
    if (!isThere(path)) {
      const slots = slotsIn(model.architecture, layer, shape);
      const values = await (derive ?? compression.derive)(layer, shape, given);
      write(
        path,
        [...values].map(([slot, numbers]) => ({ ...slots[slot]!, numbers })),
      );
    }
    for (const name of namesIn(path)) files.set(name, path);
    progress(1);
  }
  return {
    shapes,
    names: new Set(files.keys()),
    read: (name) => readFrom(files.get(name)!, name),
  };
}

/** Clears what was derived of this resource's builds, once its bundle is sealed. */
export function clearDerived(own: string): void {
  if (isThere(own)) clearOthers(join(own, 'blocks-'));
}

/** What builds of an earlier spec have left beside a directory. */
function clearOthers(directory: string): void {
  const parent = dirname(directory);
  for (const name of namesToClear(parent))
    if (name.startsWith('blocks-') && name !== basename(directory)) clearAt(join(parent, name));
}

function write(
  path: string,
  tensors: readonly { name: string; shape: readonly number[]; numbers: Float32Array }[],
): void {
  for (const { name, numbers } of tensors)
    if (!numbers.every(Number.isFinite))
      throw badSpec(`spec.compression: makes ${name} infinite; use a larger ratio, or another type`);
  writeSafetensors(
    path,
    tensors.map(({ name, shape, numbers }) => ({
      ...{ name, shape, dtype: 'F32' as const },
      bytes: () => encodeFloats(numbers, 'F32'),
    })),
  );
}

function namesIn(path: string): string[] {
  const file = openCheckpoint(path);
  try {
    return [...file.tensors.keys()];
  } finally {
    file.close();
  }
}

function readFrom(path: string, name: string): Float32Array {
  const file = openCheckpoint(path);
  try {
    return file.read(name);
  } finally {
    file.close();
  }
}
