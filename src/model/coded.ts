// Linear maps that a checkpoint holds as codes: three tensors in the place of one, which is read as if it were there.
import { badModel } from '../api/index.ts';
import {
  type Checkpoint,
  encodeFloats,
  type ReadOptions,
  type TensorInfo,
  type TensorToWrite,
} from '../checkpoint/index.ts';
import type { Slot } from './family.ts';
import {
  decodeQuantised,
  encodeQuantised,
  type Quantisation,
  type QuantisedMap,
  quantisedShapes,
} from './quantised.ts';
import { mapSize } from './shape.ts';

type Part = keyof QuantisedMap;

/** The map as [to, from], whichever way round its tensor lies, comes back as that lies. */
export function asQuantised(slot: Slot, form: Quantisation, values: Float32Array): Float32Array {
  return decoded(slot, form, encoded(slot, form, values));
}

/** The tensors that hold a slot with codes; each part is made when it is written. */
export function codedTensors(slot: Slot, values: () => Float32Array): TensorToWrite[] {
  const form = slot.quantised!;
  return partsOf(slot).map(({ part, name, shape, dtype }) => ({
    name,
    shape,
    dtype,
    bytes() {
      const made = encoded(slot, form, values());
      return part === 'codes' ? made.codes : encodeFloats(made[part], 'F32');
    },
  }));
}

/** @throws OffsiteError BadModel where a part is missing, or of another type or shape, or the map itself is stored beside them */
export function checkCoded(path: string, { tensors }: Checkpoint, slot: Slot): void {
  // The view has what the codes come to under this name: nobody would look at the stored one.
  if (tensors.has(slot.name))
    throw badModel(
      `${path}: holds tensor ${slot.name} beside its codes, and its emulator.json asks for these`,
    );
  for (const { name, shape, dtype } of partsOf(slot)) {
    const found = tensors.get(name);
    if (found === undefined)
      throw badModel(`${path}: has no tensor ${name}, which its emulator.json asks for`);
    if (found.dtype !== dtype || found.shape.join() !== shape.join())
      throw badModel(
        `${path}: tensor ${name} is ${found.dtype} [${found.shape}], its emulator.json asks for ${dtype} [${shape}]`,
      );
  }
}

/** A checkpoint in which slots of codes stand as what they are decoded to, and their parts do not stand. */
export function decodedView(path: string, stored: Checkpoint, slots: readonly Slot[]): Checkpoint {
  const coded = new Map(slots.map((slot) => [slot.name, slot]));
  const tensors = new Map<string, TensorInfo>(stored.tensors);
  for (const slot of coded.values()) {
    for (const { name } of partsOf(slot)) tensors.delete(name);
    tensors.set(slot.name, { name: slot.name, dtype: 'F32', shape: slot.shape });
  }
  const read = (slot: Slot, { rows, into }: ReadOptions): Float32Array => {
    const [codes, scales, minima] = partsOf(slot) as [StoredPart, StoredPart, StoredPart];
    const { to, from } = mapSize(slot);
    const [start, end] = rows ?? [0, to];
    const bytes = stored.readBytes(codes.name).subarray(start * codes.shape[1]!, end * codes.shape[1]!);
    const [some, least] = [scales, minima].map(({ name }) => stored.read(name, { rows: [start, end] })) as [
      Float32Array,
      Float32Array,
    ];
    const map = { codes: bytes, scales: some, minima: least };
    try {
      return decoded(slot, slot.quantised!, map, { to: end - start, from, into });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw badModel(`${path}: tensor ${slot.name}: ${error.message}`, { cause: error });
    }
  };
  return {
    tensors,
    metadata: stored.metadata,
    read(name, options = {}) {
      const slot = coded.get(name);
      if (slot === undefined) return stored.read(name, options);
      const { rows, into } = options;
      // What lies transposed has its rows across those of the codes.
      if (rows === undefined || !slot.transposed) return read(slot, options);
      const width = slot.shape[1]!;
      const some = read(slot, {}).subarray(rows[0] * width, rows[1] * width);
      into?.set(some);
      return into ?? some;
    },
    readBytes(name) {
      const slot = coded.get(name);
      return slot === undefined ? stored.readBytes(name) : encodeFloats(read(slot, {}), 'F32');
    },
    close: () => stored.close(),
  };
}

function encoded(slot: Slot, form: Quantisation, values: Float32Array): QuantisedMap {
  const { to, from } = mapSize(slot);
  return encodeQuantised(slot.transposed ? turned(values, from, to) : values, { to, from }, form);
}

function decoded(
  slot: Slot,
  form: Quantisation,
  map: QuantisedMap,
  { to, from, into }: { to: number; from: number; into?: Float32Array | undefined } = mapSize(slot),
): Float32Array {
  if (!slot.transposed) return decodeQuantised(map, { to, from }, form, into);
  const values = turned(decodeQuantised(map, { to, from }, form), to, from);
  into?.set(values);
  return into ?? values;
}

function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = values[i * columns + j]!;
  return result;
}

interface StoredPart {
  readonly part: Part;
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: 'U8' | 'F32';
}

function partsOf(slot: Slot): StoredPart[] {
  const shapes = quantisedShapes(mapSize(slot), slot.quantised!);
  const path = slot.name.replace(/\.weight$/, '');
  return (['codes', 'scales', 'minima'] as const).map((part) => ({
    part,
    name: `${path}.${part}`,
    shape: shapes[part],
    dtype: part === 'codes' ? 'U8' : 'F32',
  }));
}
