import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import { openArtifact } from '../artifact/index.ts';
import { type Checkpoint, openCheckpoint } from '../checkpoint/index.ts';
import type { Architecture, Overlay } from '../model/index.ts';

/** An adapter that passed every check: the trained tensors in full, by their names in the full model, read when asked for. */
export interface Adapter extends Overlay {
  readonly digest: string;
  readonly names: readonly string[];
  close(): void;
}

/** What an adapter must belong to. */
export interface Expected {
  architecture: Architecture;
  /** The digest of the bundle that it must have been trained on. */
  emulator: string;
  transferLayers: readonly number[];
  /** The digest that the adapter must have, where the other party named one. */
  digest?: string | undefined;
}

const file = 'adapter.safetensors';

/**
 * Opens what came back from the data owner and trusts none of it: digests, then the emulator it was trained on, then names,
 * shapes, dtypes and finite values of exactly the transfer layers' tensors (METHOD.md, PlugIn).
 * @throws OffsiteError BadModel naming the tensor or digest
 */
export function openAdapter(
  directory: string,
  { architecture, emulator, transferLayers, digest }: Expected,
): Adapter {
  const artifact = openArtifact(directory, { kind: 'Adapter', digest });
  const trainedOn = artifact.manifest.madeFrom['emulator'];
  if (trainedOn !== emulator) {
    throw badModel(
      `${directory}: was trained on emulator ${trainedOn ?? '(none named)'}, not on ${emulator}`,
    );
  }
  const others = artifact.manifest.files.filter(({ path }) => path.endsWith('.safetensors') && path !== file);
  if (others[0] !== undefined)
    throw badModel(`${join(directory, others[0].path)}: an adapter holds one ${file} only`);
  const checkpoint = openCheckpoint(join(directory, file));
  try {
    const names = checkTensors(checkpoint, directory, architecture, transferLayers);
    return {
      digest: artifact.digest,
      names,
      get: (name, into) => (names.includes(name) ? checkpoint.read(name, into ? { into } : {}) : undefined),
      close: () => checkpoint.close(),
    };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** Names, shapes, dtypes and values; the names in the model's order. */
function checkTensors(
  checkpoint: Checkpoint,
  directory: string,
  architecture: Architecture,
  transferLayers: readonly number[],
): string[] {
  const wanted = new Map(
    transferLayers.flatMap((layer) =>
      Object.values(architecture.block(layer)).map((slot) => [slot.name, slot] as const),
    ),
  );
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const slot = wanted.get(name);
    if (slot === undefined) {
      throw badModel(
        `${directory}: tensor ${name} is foreign: only tensors of the transfer layers ${transferLayers.join(', ')} may come back`,
      );
    }
    if (shape.join() !== slot.shape.join())
      throw badModel(`${directory}: tensor ${name} is [${shape}], the model's is [${slot.shape}]`);
    if (dtype !== 'F32')
      throw badModel(`${directory}: tensor ${name} is ${dtype}; an adapter's tensors are F32`);
  }
  const largest = Math.max(...[...wanted.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1)));
  const buffer = new Float32Array(largest);
  for (const [name, { shape }] of wanted) {
    if (!checkpoint.tensors.has(name))
      throw badModel(`${directory}: lacks tensor ${name} of the transfer layers`);
    const into = buffer.subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    );
    const values = checkpoint.read(name, { into });
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw badModel(
        `${directory}: tensor ${name} holds ${values[bad]} (element ${bad}); values must be finite`,
      );
  }
  return [...wanted.keys()];
}
