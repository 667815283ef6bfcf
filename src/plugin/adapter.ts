import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import { openArtifact } from '../artifact/index.ts';
import { type Checkpoint, openCheckpoint } from '../checkpoint/index.ts';
import type { Architecture } from '../model/index.ts';

/** An adapter that passed every check: the trained tensors in full, by their names in the full model. */
export interface Adapter {
  digest: string;
  tensors: ReadonlyMap<string, Float32Array>;
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
    return {
      digest: artifact.digest,
      tensors: readTensors(checkpoint, directory, architecture, transferLayers),
    };
  } finally {
    checkpoint.close();
  }
}

function readTensors(
  checkpoint: Checkpoint,
  directory: string,
  architecture: Architecture,
  transferLayers: readonly number[],
): Map<string, Float32Array> {
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
  const tensors = new Map<string, Float32Array>();
  for (const name of wanted.keys()) {
    if (!checkpoint.tensors.has(name))
      throw badModel(`${directory}: lacks tensor ${name} of the transfer layers`);
    const values = checkpoint.read(name);
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw badModel(
        `${directory}: tensor ${name} holds ${values[bad]} (element ${bad}); values must be finite`,
      );
    tensors.set(name, values);
  }
  return tensors;
}
