// Sums by layer on disk: one layer is in memory, and is written when the next one's turn comes.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { badModel } from '../../api/index.ts';
import { clearAt, isThere } from '../../artifact/index.ts';
import {
  encodeFloats,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../checkpoint/index.ts';
import { type Counts, quantityOf } from './quantities.ts';
import { CompensatedSums, triangleLength } from './sums.ts';

/** Which pass the sums are of, forward or backward: a layer has a file of each. */
export type Pass = 'forward' | 'backward';

/** What was summed of a layer, and over how much. */
interface LayerSums extends Counts {
  readonly batches: number;
  readonly sums: Map<string, CompensatedSums>;
}

/** What one batch adds, by name; a symmetric matrix whole. */
export type Found = Readonly<Record<string, ArrayLike<number>>>;

const nothing = (): LayerSums => ({ batches: 0, tokens: 0, targets: 0, sums: new Map() });

/** Sums of every layer in a directory, filled batch by batch; layers may come again and again. */
export class SummedLayers {
  readonly #directory: string;
  readonly #pass: Pass;
  readonly #whole: number | undefined;
  #layer = -1;
  #held = nothing();

  /** @param whole of how many batches a layer's sums are all that there is, and are rounded; undefined for a shard's */
  constructor(directory: string, pass: Pass, whole: number | undefined) {
    this.#directory = directory;
    this.#pass = pass;
    this.#whole = whole;
  }

  /** Adds what was found of a layer in one batch. @throws OffsiteError BadModel where the whole is not finite */
  add(layer: number, { tokens, targets }: Counts, found: Found): void {
    if (layer !== this.#layer) {
      this.flush();
      this.#layer = layer;
      const path = sumsPath(this.#directory, this.#pass, layer);
      this.#held = isThere(path) ? readSums(path) : nothing();
    }
    const { sums, ...counts } = this.#held;
    for (const [name, values] of Object.entries(found)) addTo(sums, name, values);
    this.#held = {
      batches: counts.batches + 1,
      tokens: counts.tokens + tokens,
      targets: counts.targets + targets,
      sums,
    };
  }

  /** Writes the layer that is in memory. */
  flush(): void {
    if (this.#layer < 0) return;
    const [directory, pass, layer, held] = [this.#directory, this.#pass, this.#layer, this.#held];
    this.#layer = -1;
    this.#held = nothing();
    const path = sumsPath(directory, pass, layer);
    if (held.batches === this.#whole) {
      writeRounded(directory, pass, layer, held);
      clearAt(path);
    } else writeSums(path, held);
  }
}

function addTo(sums: Map<string, CompensatedSums>, name: string, values: ArrayLike<number>): void {
  const { symmetric } = quantityOf(name);
  const length = symmetric ? triangleLength(Math.sqrt(values.length)) : values.length;
  let sum = sums.get(name);
  if (sum === undefined) {
    sum = new CompensatedSums(length);
    sums.set(name, sum);
  }
  if (symmetric) sum.addTriangle(values);
  else sum.add(values);
}

/**
 * The rounded sums of all shards, one layer in memory.
 * @param shards the directories that hold their sums; @param directory where the rounded ones go
 * @throws OffsiteError BadModel where a shard's sums of a layer are not there, or other ones
 */
export function joinSums(shards: readonly string[], directory: string): void {
  const tokensOf = new Map<string, number>();
  // A shard without batches has no sums.
  const layers = new Set(shards.flatMap((shard) => readdirSync(shard)).filter(isSums));
  for (const name of layers) {
    const parts = shards.map((shard) => join(shard, name)).filter((path) => isThere(path));
    const joined = parts.map(readSums).reduce(together);
    const [, pass, layer] = sumsName.exec(name) as unknown as [string, Pass, string];
    // Each pass goes over all rows of all shards in every layer.
    const tokens = tokensOf.get(pass) ?? joined.tokens;
    if (joined.tokens !== tokens)
      throw badModel(
        `what the shards observed of layer ${layer} is of ${joined.tokens} tokens, of another layer of ${tokens}; remove it and probe again`,
      );
    tokensOf.set(pass, tokens);
    writeRounded(directory, pass, Number(layer), joined);
  }
}

function together(a: LayerSums, b: LayerSums): LayerSums {
  for (const [name, sum] of a.sums) {
    const more = b.sums.get(name);
    if (more?.length !== sum.length)
      throw badModel(`the sums ${name} of two shards differ in length; remove them and probe again`);
    sum.addSums(more);
  }
  return {
    batches: a.batches + b.batches,
    tokens: a.tokens + b.tokens,
    targets: a.targets + b.targets,
    sums: a.sums,
  };
}

/** Where a layer's rounded sums lie. */
export const roundedPath = (directory: string, pass: Pass, layer: number) =>
  join(directory, `${pass}-${layer}.safetensors`);
const sumsPath = (directory: string, pass: Pass, layer: number) =>
  join(directory, `${pass}-${layer}.sums.safetensors`);
const sumsName = /^(forward|backward)-(\d+)\.sums\.safetensors$/;
const isSums = (name: string) => sumsName.test(name);

function writeRounded(directory: string, pass: Pass, layer: number, { sums, ...counts }: LayerSums): void {
  const tensors = [...sums].map(([name, sum]): TensorToWrite => {
    const write = () => {
      const values = sum.rounded(quantityOf(name).factor(counts));
      if (!values.every(Number.isFinite))
        throw badModel(
          `what was observed in layer ${layer} (${name}) has values that are not finite; check the model's weights`,
        );
      return encodeFloats(values, 'F32');
    };
    return { name, dtype: 'F32', shape: [sum.length], bytes: write };
  });
  const { tokens } = counts;
  writeSafetensors(roundedPath(directory, pass, layer), tensors, { tokens: String(tokens) });
}

function writeSums(path: string, { sums, batches, tokens, targets }: LayerSums): void {
  const tensors = [...sums].flatMap(([name, { high, low, length }]): TensorToWrite[] =>
    Object.entries({ high, low }).map(([part, values]) => ({
      name: `${name}.${part}`,
      dtype: 'F64',
      shape: [length],
      bytes: () => new Uint8Array(values.buffer),
    })),
  );
  writeSafetensors(path, tensors, {
    batches: String(batches),
    tokens: String(tokens),
    targets: String(targets),
  });
}

function readSums(path: string): LayerSums {
  const file = openCheckpoint(path);
  try {
    const count = (name: string) => Number(file.metadata[name]);
    const part = (name: string) => {
      if (file.tensors.get(name)?.dtype !== 'F64') throw badModel(`${path}: ${name} is no sum; probe again`);
      return new Float64Array(file.readBytes(name).buffer as ArrayBuffer);
    };
    const names = [...file.tensors.keys()].flatMap((name) =>
      name.endsWith('.high') ? [name.slice(0, -'.high'.length)] : [],
    );
    const sums = names.map((name): [string, CompensatedSums] => {
      const [high, low] = [part(`${name}.high`), part(`${name}.low`)];
      return [name, new CompensatedSums(high.length, high, low)];
    });
    return {
      batches: count('batches'),
      tokens: count('tokens'),
      targets: count('targets'),
      sums: new Map(sums),
    };
  } finally {
    file.close();
  }
}
