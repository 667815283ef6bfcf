// Which of a model's layers are copies of one another, as in models that were made of a smaller one by repeating its layers.
import type { Model } from '../../model/index.ts';

/** Numbers of a matrix that are looked at, from its first rows. */
const sampled = 4096;
/** Of fewer numbers chance may make two alike. */
const leastNumbers = 64;
/** The square of the cosine from which on two are taken for one; layers that were trained apart have one next to 0. */
const alike = 0.5;

/**
 * Of each layer the others of which some matrix is nearly its own, bit by bit or trained on since, told by a sample of every matrix:
 * where such a layer stays behind, whatever stands for the other gives it away.
 */
export function copiesOf({
  architecture,
  read,
}: Pick<Model, 'architecture' | 'read'>): ReadonlyMap<number, readonly number[]> {
  const layers = Array.from({ length: architecture.depth }, (_, layer) => layer);
  const samples = layers.map((layer) =>
    Object.entries(architecture.block(layer)).flatMap(([slot, { name, shape }]) => {
      const [rows, width] = shape;
      if (rows === undefined || width === undefined) return [];
      const some = read(name, { rows: [0, Math.min(rows, Math.ceil(sampled / width))] }).slice(0, sampled);
      return some.length < leastNumbers ? [] : [[`${slot} ${shape}`, some] as const];
    }),
  );
  const byMatrix = samples.map((some) => new Map(some));
  const areAlike = (a: number, b: number) =>
    samples[a]!.some(([matrix, values]) => {
      const others = byMatrix[b]!.get(matrix);
      return others !== undefined && squaredCosine(values, others) >= alike;
    });
  return new Map(
    layers.map((layer) => [layer, layers.filter((other) => other !== layer && areAlike(layer, other))]),
  );
}

function squaredCosine(a: Float32Array, b: Float32Array): number {
  let [product, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!;
    ofA += a[i]! ** 2;
    ofB += b[i]! ** 2;
  }
  return product ** 2 / (ofA * ofB);
}
