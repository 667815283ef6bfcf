// Observations as strategies and compression take them: read from disk layer by layer.
import { badModel } from '../../api/index.ts';
import { openArtifact } from '../../artifact/index.ts';
import { openCheckpoint } from '../../checkpoint/index.ts';
import type { InputMoments, MapGradients, Observations } from './observations.ts';
import { type Pass, roundedPath } from './summed-layers.ts';
import { squareOf, triangleLength } from './sums.ts';

/** What was observed, whole or without what was not asked for. */
export interface OpenObservations extends Observations {
  /** Block influence by layer: 1 - the mean over tokens of cos(x, y) of its input x and output y (arXiv 2403.03853). */
  readonly influence: readonly number[];
}

/** @throws OffsiteError BadModel where a file is not the manifest's */
export function openObservations(directory: string): OpenObservations {
  const { manifest } = openArtifact(directory, { kind: 'Observations' });
  const depth = manifest.files.filter(({ path }) => path.startsWith('forward-')).length;
  const latest = new LatestLayer();
  return {
    influence: Array.from(
      { length: depth },
      (_, layer) => 1 - withFile(directory, 'forward', layer, ({ read }) => read('cosine')[0]!),
    ),
    inputs: (layer, slot) =>
      withFile(directory, 'forward', layer, (file) =>
        latest.once(layer, file.nameOf('second', slot), () => momentsOf(file, slot)),
      ),
    gradients: (layer, slot) =>
      withFile(directory, 'backward', layer, (file) =>
        latest.once(layer, file.nameOf('weight', slot), () => gradientsOf(file, slot)),
      ),
  };
}

function momentsOf(file: LayerFile, slot: string): InputMoments {
  const mean = Float64Array.from(file.read(file.nameOf('first', slot)));
  const second = file.symmetric(file.nameOf('second', slot), mean.length);
  return { tokens: file.tokens, mean, second };
}

function gradientsOf(file: LayerFile, slot: string): MapGradients {
  const triangle = file.read(file.nameOf('outputs', slot));
  const to = Math.floor(Math.sqrt(2 * triangle.length));
  return {
    outputs: file.symmetric(file.nameOf('outputs', slot), to),
    weight: Float64Array.from(file.read(file.nameOf('weight', slot))),
  };
}

interface LayerFile {
  readonly tokens: number;
  /** The tensor of a quantity that holds a slot's: maps that are given the same have one. */
  nameOf(quantity: string, slot: string): string;
  read(name: string): Float32Array;
  /** The matrix [n, n] of a triangle. */
  symmetric(name: string, n: number): Float64Array;
}

function withFile<T>(directory: string, pass: Pass, layer: number, use: (file: LayerFile) => T): T {
  const path = roundedPath(directory, pass, layer);
  const file = openCheckpoint(path);
  try {
    const read = (name: string) => file.read(name);
    return use({
      tokens: Number(file.metadata['tokens']),
      nameOf(quantity, slot) {
        const names = [...file.tensors.keys()].filter((name) => name.startsWith(`${quantity}.`));
        const name = names.find((each) =>
          each
            .slice(quantity.length + 1)
            .split('+')
            .includes(slot),
        );
        if (name === undefined) throw new Error(`${path}: ${quantity} of ${slot} was not observed`);
        return name;
      },
      read,
      symmetric(name, n) {
        const triangle = read(name);
        if (triangle.length !== triangleLength(n))
          throw badModel(`${path}: ${name} is no triangle of [${n}, ${n}]; remove it and probe again`);
        return squareOf(triangle, n);
      },
    });
  } finally {
    file.close();
  }
}

/** What was read of one layer, so that maps that share their inputs share the moments. */
class LatestLayer {
  #layer = -1;
  readonly #values = new Map<string, unknown>();

  once<T>(layer: number, name: string, read: () => T): T {
    if (layer !== this.#layer) this.#values.clear();
    this.#layer = layer;
    if (!this.#values.has(name)) this.#values.set(name, read());
    return this.#values.get(name) as T;
  }
}
