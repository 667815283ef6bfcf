// GGUF checkpoints in the hub's layout, so that the rest of the code knows one layout only.
import { badModel, printable } from '../api/index.ts';
import { type Checkpoint, encodeFloats, type ReadOptions, type TensorInfo } from '../checkpoint/index.ts';
import type { Family, GgufMapping } from './family.ts';

/** A GGUF file in the hub's layout. */
export interface HubView {
  readonly checkpoint: Checkpoint;
  readonly config: Record<string, unknown>;
  /**
   * @param named the tensors that run, by the hub's names
   * @throws OffsiteError BadModel naming another one: llama.cpp runs what it finds, a bias here and there
   */
  checkAllNamed(named: ReadonlySet<string>): void;
}

/**
 * Shows a GGUF file as the hub would hold it: its names, its row order, and a config.json from its metadata.
 * Quantised tensors appear as the float32 values that they stand for.
 */
export function hubView(gguf: Checkpoint, families: readonly Family[]): HubView {
  const architecture = String(gguf.metadata['general.architecture']);
  const mappings = families.flatMap(({ gguf: mapping }) => mapping ?? []);
  const mapping = mappings.find((known) => known.architecture === architecture);
  if (mapping === undefined) {
    const supported = mappings.map((known) => known.architecture).join(', ');
    throw badModel(`GGUF general.architecture ${architecture} is not supported (${supported} are)`);
  }
  const config = mapping.config(gguf);
  return {
    checkpoint: renamed(gguf, mapping, config),
    config,
    checkAllNamed(named) {
      const known = (name: string) => named.has(mapping.hubName(name) ?? '') || beside.test(name);
      const stray = [...gguf.tensors.keys()].find((name) => !known(name));
      if (stray !== undefined)
        throw badModel(`GGUF tensor ${printable(stray)} is not supported for architecture ${architecture}`);
    },
  };
}

/** The divisors of rotary frequencies, which are read into config.json, and frequencies that old files hold and nothing reads. */
const beside = /^(rope_freqs|blk\.\d+\.attn_rot_embd)\.weight$/;

function renamed(gguf: Checkpoint, mapping: GgufMapping, config: Record<string, unknown>): Checkpoint {
  const sources = new Map<string, string>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, tensor] of gguf.tensors) {
    const hubName = mapping.hubName(name);
    if (hubName === undefined) continue;
    sources.set(hubName, name);
    const asItIs =
      ['F32', 'F16', 'BF16'].includes(tensor.dtype) && mapping.rotaryHeads(name, config) === undefined;
    tensors.set(hubName, { name: hubName, shape: tensor.shape, dtype: asItIs ? tensor.dtype : 'F32' });
  }
  const source = (name: string) => {
    const found = sources.get(name);
    if (found === undefined) throw badModel(`the GGUF file has no tensor for ${name}`);
    return found;
  };
  const read = (name: string, options?: ReadOptions): Float32Array => {
    const heads = mapping.rotaryHeads(source(name), config);
    if (heads === undefined) return gguf.read(source(name), options);
    const { shape } = tensors.get(name) as TensorInfo;
    const [rows, columns] = shape as [number, number];
    const ordered = halvesTogether(gguf.read(source(name)), rows, columns, heads);
    const [start, end] = options?.rows ?? [0, rows];
    const part = ordered.subarray(start * columns, end * columns);
    options?.into?.set(part);
    return options?.into ?? part;
  };
  return {
    tensors,
    metadata: gguf.metadata,
    read,
    readBytes: (name) =>
      tensors.get(name)?.dtype === gguf.tensors.get(source(name))?.dtype &&
      mapping.rotaryHeads(source(name), config) === undefined
        ? gguf.readBytes(source(name))
        : encodeFloats(read(name), 'F32'),
    close: () => gguf.close(),
  };
}

/** GGUF interleaves the two halves of each rotary head's rows (llama.cpp, convert_hf_to_gguf.py); this puts them back. */
function halvesTogether(values: Float32Array, rows: number, columns: number, heads: number): Float32Array {
  const ordered = new Float32Array(values.length);
  const size = rows / heads;
  for (let row = 0; row < rows; row++) {
    const within = row % size;
    const from = row - within + (within % (size / 2)) * 2 + Math.floor(within / (size / 2));
    ordered.set(values.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return ordered;
}
