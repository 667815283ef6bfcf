// The files of a bundle: its unique tensors, its plan and shapes, and what of the model goes with weights.
import { canonicalJson, type WrittenFiles } from '../artifact/index.ts';
import { decodeFloats, encodeFloats, type TensorToWrite, writeSafetensors } from '../checkpoint/index.ts';
import { asQuantised, codedTensors, type Model, type Overlay, type Slot } from '../model/index.ts';
import { type SimilarityRecord, similarityFile } from './bundle.ts';
import type { Derived } from './derived.ts';
import { type Layout, tensorSlots } from './plan/layout.ts';
import { writeShapes } from './shapes.ts';

/** @param layout with the shapes of what was derived */
export function writeBundle(
  files: WrittenFiles,
  model: Model,
  layout: Layout,
  { similarity, derived }: { similarity: SimilarityRecord; derived: Derived },
): void {
  const tensors = tensorSlots(model.architecture, layout).flatMap((slot) =>
    derived.names.has(slot.name) ? derivedTensors(model, slot, derived) : [tensorOf(model, slot.name)],
  );
  files.add('model.safetensors', (path) => writeSafetensors(path, tensors));
  writeShapes(files, derived.shapes);
  files.write('config.json', model.canonicalConfig);
  files.write(similarityFile, canonicalJson(similarity));
  for (const { name, bytes } of model.tokenizer.files) files.write(name, bytes);
  // Whoever gets weights gets their licence; what the model's card says is for its owner to give.
  for (const companion of model.companions) if (companion.licence) companion.copy(files);
}

/** A derived tensor, in codes or rounded to what the model stores. */
function derivedTensors(model: Model, slot: Slot, derived: Derived): TensorToWrite[] {
  const { name, shape } = slot;
  if (slot.quantised !== undefined) return codedTensors(slot, () => derived.read(name));
  const dtype = storedDtype(model, name);
  return [{ name, dtype, shape, bytes: () => encodeFloats(derived.read(name), dtype) }];
}

/** The derived tensors as whoever reads the bundle has them: rounded to what it stores. */
export function storedTensors(
  model: Model,
  layout: Layout,
  derived: Pick<Derived, 'names' | 'read'>,
): Overlay {
  const slots = new Map(tensorSlots(model.architecture, layout).map((slot) => [slot.name, slot]));
  return {
    has: (name) => derived.names.has(name),
    get(name) {
      if (!derived.names.has(name)) return undefined;
      const values = derived.read(name);
      const slot = slots.get(name)!;
      if (slot.quantised !== undefined) return asQuantised(slot, slot.quantised, values);
      const dtype = storedDtype(model, name);
      return decodeFloats(encodeFloats(values, dtype), dtype);
    },
  };
}

/** The number format of a bundle's tensor: the model's own, of one that the model does not have its embedding's; float32 for all others. */
export function storedDtype({ tensors, architecture }: Model, name: string): 'F32' | 'F16' | 'BF16' {
  const { dtype } = tensors.get(name) ?? tensors.get(architecture.embedding.name)!;
  return dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32';
}

/** The stored bytes for the dtypes that safetensors shares with the model, float32 for all others. */
function tensorOf(model: Model, name: string): TensorToWrite {
  const { dtype, shape } = model.tensors.get(name)!;
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16')
    return { name, dtype, shape, bytes: () => model.readBytes(name) };
  return { name, dtype: 'F32', shape, bytes: () => encodeFloats(model.read(name), 'F32') };
}
