import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeFloats, type TensorToWrite, writeSafetensors } from '../../../../src/checkpoint/index.ts';

/** A tensor's values as a norm and evenly spaced elements. */
export interface Described {
  norm: number;
  /** Elements floor(i * size / count), little-endian float32 in base64. */
  sample: string;
}

/** Five AdamW steps on both rows, and the full model with what was trained. */
export interface Tuned {
  losses: number[];
  /** `noise`: the share of a change that float32 leaves open in PyTorch itself. */
  changes: Record<string, Described & { noise: number }>;
  /** Logits of the last two tokens of each row. */
  plugIn: string;
}

/** PEFT's LoRA on every linear map; its first factors start as `uniform` / sqrt(from). */
type Lora = Tuned & { rank: number; alpha: number };

/** What test/reference/families.py found with transformers. */
export interface Fixture {
  family: string;
  config: Record<string, unknown>;
  dtype: 'F32' | 'F16' | 'BF16';
  tensors: [name: string, shape: number[], base: number, scale: number][];
  /** Token ids. */
  rows: number[][];
  full: {
    /** Of every token, row after row, [tokens, V]. */
    logits: string;
    loss: number;
    /** dL/d(states before the first block), [tokens, D]. */
    stateGradient: Described;
    gradients: Record<string, Described>;
  };
  /** Trained: the layers themselves. */
  emulator?: Tuned & {
    source: number[];
    transferLayers: number[];
    /** Of the last two tokens of each row. */
    logits: string;
    lora: Lora;
    /** The same with dropout by our masks. */
    dropout: Lora & { rate: number; seed: number };
    /** The same with the head as a module to save. */
    head: Lora;
    /** Modules by hooks; their first maps start as `uniform` / sqrt(hidden). */
    bottleneck: Tuned & { size: number };
  };
}

const directory = new URL('../../../fixtures/families/', import.meta.url);

export const variants = (): string[] =>
  readdirSync(directory)
    .map((file) => file.replace(/\.json$/, ''))
    .sort();

export const fixtureOf = (variant: string): Fixture =>
  JSON.parse(readFileSync(new URL(`${variant}.json`, directory), 'utf8')) as Fixture;

/** float32 values of a fixture. */
export function unpacked(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}

/** Writes the variant's checkpoint in the hub's layout, in one file or in as many shards. */
export function writeCheckpoint(
  path: string,
  { config, dtype, tensors }: Pick<Fixture, 'config' | 'dtype' | 'tensors'>,
  shards = 1,
): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  const stored: TensorToWrite[] = tensors.map(([name, shape, base, scale]) => ({
    name,
    dtype,
    shape,
    bytes: () =>
      encodeFloats(
        Float32Array.from(
          uniform(
            name,
            shape.reduce((a, b) => a * b, 1),
          ),
          (x) => base + scale * x,
        ),
        dtype,
      ),
  }));
  if (shards === 1) {
    writeSafetensors(join(path, 'model.safetensors'), stored);
    return;
  }
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${shard + 1}-of-${shards}.safetensors`;
    const part = stored.filter((_, i) => i % shards === shard);
    writeSafetensors(join(path, file), part);
    for (const { name } of part) weightMap[name] = file;
  }
  writeFileSync(join(path, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
}

/** Numbers from -1 to 1: murmur3's finaliser over the element's number, seeded by the name's FNV-1a hash. */
export function uniform(name: string, size: number): Float64Array {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  return Float64Array.from({ length: size }, (_, i) => {
    let x = Math.imul(i, 0x9e3779b1) + seed;
    x ^= x >>> 16;
    x = Math.imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = Math.imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    return (x >>> 8) / 2 ** 23 - 1;
  });
}
