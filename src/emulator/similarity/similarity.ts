// Representational similarity of layers: CKA, linear or with an RBF kernel, and cosine.
import { badData, badModel } from '../../api/index.ts';

/** Pooled states of one layer: `samples` rows of `width` numbers, row-major. */
export interface States {
  readonly samples: number;
  readonly width: number;
  readonly values: Float32Array | Float64Array;
}

/** How alike two layers are is told by one of these. */
export type Likeness = 'linearCKA' | 'rbfCKA' | 'cosine' | 'angular';

export interface SimilarityOptions {
  readonly metric: Likeness;
  /** RBF CKA only: the kernel's bandwidth as a multiple of the median distance (1). */
  readonly threshold?: number;
}

/**
 * The similarity of every two layers, in float64, as a symmetric L x L matrix of which 1 is the most similar.
 * CKA after Kornblith et al. 2019 (arXiv 1905.00414); `angular` is 1 - mean arccos(cos) / pi, so that it too grows
 * with similarity. BadData below two samples, BadModel for states that are not finite.
 * @param beforeEach called before each layer, to stop by throwing: thousands of samples take minutes
 */
export function similarityMatrix(
  layers: readonly States[],
  options: SimilarityOptions,
  beforeEach: () => void = () => {},
): Float64Array[] {
  checkStates(layers);
  const features = layers.map((layer) => {
    beforeEach();
    return describe(layer, options);
  });
  const compare = comparison(layers[0]?.samples ?? 0, options.metric);
  const matrix = layers.map(() => new Float64Array(layers.length));
  for (let i = 0; i < layers.length; i++) {
    beforeEach();
    for (let j = i; j < layers.length; j++) {
      const value = i === j ? 1 : compare(features[i]!, features[j]!);
      matrix[i]![j] = value;
      matrix[j]![i] = value;
    }
  }
  return matrix;
}

/** The L-1 values of neighbouring layers, entry j for the layers j and j+1. */
export function adjacentValues(matrix: readonly ArrayLike<number>[]): number[] {
  return matrix.slice(1).map((row, j) => row[j]!);
}

function checkStates(layers: readonly States[]): void {
  layers.forEach(({ samples, width, values }, layer) => {
    if (samples < 2) throw badData(`the probe set has ${samples} usable rows; similarity needs at least 2`);
    if (samples !== layers[0]!.samples || values.length !== samples * width)
      throw new RangeError(
        `layer ${layer}: ${values.length} numbers for ${samples} x ${width} pooled states`,
      );
    if (!values.every(Number.isFinite))
      throw badModel(
        `the output of layer ${layer} has values that are not finite; check the model's weights`,
      );
  });
}

/** What is compared: a unit vector (CKA) or one unit vector a sample (cosine), so that a dot product is the similarity. */
function describe(layer: States, { metric, threshold = 1 }: SimilarityOptions): Float64Array {
  if (metric === 'linearCKA')
    return normalised(packTriangle(gramMatrix(centredColumns(layer)), layer.samples));
  if (metric === 'rbfCKA') return normalised(centredGram(rbfKernel(layer, threshold), layer.samples));
  return unitRows(layer);
}

function comparison(samples: number, metric: Likeness) {
  if (metric === 'linearCKA' || metric === 'rbfCKA') return clampedDot;
  return (x: Float64Array, y: Float64Array): number => {
    const width = x.length / samples;
    let sum = 0;
    for (let row = 0; row < samples; row++) {
      const from = row * width;
      const cos = clampedDot(x.subarray(from, from + width), y.subarray(from, from + width));
      sum += metric === 'cosine' ? cos : 1 - Math.acos(cos) / Math.PI;
    }
    return sum / samples;
  };
}

function clampedDot(x: Float64Array, y: Float64Array): number {
  return Math.max(-1, Math.min(1, dot(x, y)));
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** Scales to length 1; a vector without spread stays zero and is similar to nothing. */
function normalised(vector: Float64Array): Float64Array {
  const norm = Math.sqrt(dot(vector, vector));
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

function unitRows({ samples, width, values }: States): Float64Array {
  const unit = Float64Array.from(values);
  for (let row = 0; row < samples; row++) {
    const part = unit.subarray(row * width, (row + 1) * width);
    part.set(normalised(part));
  }
  return unit;
}

/** H X: centring the columns first makes the Gram matrix H X Xt H without the cancellation of centring it later. */
function centredColumns({ samples, width, values }: States): States & { values: Float64Array } {
  const means = new Float64Array(width);
  for (let i = 0; i < values.length; i++) means[i % width]! += values[i]! / samples;
  return { samples, width, values: Float64Array.from(values, (value, i) => value - means[i % width]!) };
}

/**
 * The upper triangle of a symmetric matrix, rows joined; entries off the diagonal times sqrt(2), so that the dot product
 * of two triangles is the Frobenius product of the whole matrices.
 */
function packTriangle(matrix: Float64Array, n: number): Float64Array {
  const packed = new Float64Array((n * (n + 1)) / 2);
  let at = 0;
  for (let i = 0; i < n; i++) {
    packed[at++] = matrix[i * n + i]!;
    for (let j = i + 1; j < n; j++) packed[at++] = matrix[i * n + j]! * Math.SQRT2;
  }
  return packed;
}

/** X Xt as a full n x n matrix, in tiles of 4 x 4 sums, which is what keeps 512 samples of 64 layers to seconds. */
function gramMatrix({ samples: n, width, values: x }: States & { values: Float64Array }): Float64Array {
  const gram = new Float64Array(n * n);
  const row = (i: number) => Math.min(i, n - 1) * width;
  for (let i = 0; i < n; i += 4) {
    const [a0, a1, a2, a3] = [row(i), row(i + 1), row(i + 2), row(i + 3)];
    for (let j = i; j < n; j += 2) {
      const [b0, b1] = [row(j), row(j + 1)];
      let [s00, s10, s20, s30, s01, s11, s21, s31] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let k = 0; k < width; k++) {
        const y0 = x[b0 + k]!;
        const y1 = x[b1 + k]!;
        const x0 = x[a0 + k]!;
        const x1 = x[a1 + k]!;
        const x2 = x[a2 + k]!;
        const x3 = x[a3 + k]!;
        s00 += x0 * y0;
        s10 += x1 * y0;
        s20 += x2 * y0;
        s30 += x3 * y0;
        s01 += x0 * y1;
        s11 += x1 * y1;
        s21 += x2 * y1;
        s31 += x3 * y1;
      }
      const sums = [s00, s10, s20, s30, s01, s11, s21, s31];
      for (let t = 0; t < 8; t++) {
        const r = i + (t & 3);
        const c = j + (t >> 2);
        if (r < n && c < n) {
          gram[r * n + c] = sums[t]!;
          gram[c * n + r] = sums[t]!;
        }
      }
    }
  }
  return gram;
}

/** exp(-|x - y|^2 / (2 (threshold median)^2)), the median over all pairs as in Kornblith et al.'s published code. */
function rbfKernel(layer: States, threshold: number): Float64Array {
  const n = layer.samples;
  const gram = gramMatrix(centredColumns(layer));
  const squares = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      squares[i * n + j] = Math.max(0, gram[i * n + i]! + gram[j * n + j]! - 2 * gram[i * n + j]!);
  const scale = 2 * threshold ** 2 * median(squares);
  return squares.map((square) => (scale === 0 ? Number(square === 0) : Math.exp(-square / scale)));
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The packed triangle of H K H. */
function centredGram(kernel: Float64Array, n: number): Float64Array {
  const means = new Float64Array(n);
  for (let i = 0; i < n * n; i++) means[Math.floor(i / n)]! += kernel[i]! / n;
  const mean = means.reduce((sum, value) => sum + value, 0) / n;
  const centred = kernel.map((value, i) => value - means[Math.floor(i / n)]! - means[i % n]! + mean);
  return packTriangle(centred, n);
}
