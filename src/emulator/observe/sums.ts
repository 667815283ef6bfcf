// Sums that do not depend on the order of what is added, whatever shards and groups it comes in.

/**
 * Sums of equally long arrays, element by element, each held as an unevaluated sum of two float64 (double-double arithmetic,
 * Joldes et al. 2017, algorithms 4 and 6): about 106 bits, so that rounding one to float32 gives the same bits in any order.
 */
export class CompensatedSums {
  readonly high: Float64Array;
  readonly low: Float64Array;

  constructor(length: number, high = new Float64Array(length), low = new Float64Array(length)) {
    this.high = high;
    this.low = low;
  }

  get length(): number {
    return this.high.length;
  }

  /** Adds `values`, from its element `from` on, to `count` sums from `to` on; all of both when absent. */
  add(values: ArrayLike<number>, { from = 0, to = 0, count = this.length } = {}): void {
    const { high, low } = this;
    for (let i = 0; i < count; i++) {
      const x = values[from + i]!;
      const h = high[to + i]!;
      const sum = h + x;
      const part = sum - h;
      const rest = low[to + i]! + (h - (sum - part) + (x - part));
      const next = sum + rest;
      high[to + i] = next;
      low[to + i] = rest - (next - sum);
    }
  }

  /** Adds the upper triangle of a symmetric matrix, rows joined, to as many sums. */
  addTriangle(matrix: ArrayLike<number>): void {
    const n = Math.sqrt(matrix.length);
    for (let row = 0, to = 0; row < n; to += n - row, row++)
      this.add(matrix, { from: row * n + row, to, count: n - row });
  }

  addSums({ high: highs, low: lows }: CompensatedSums): void {
    const { high, low } = this;
    for (let i = 0; i < high.length; i++) {
      const a = high[i]!;
      const b = highs[i]!;
      const c = low[i]!;
      const d = lows[i]!;
      const sum = a + b;
      const part = sum - a;
      const small = c + d;
      const smallPart = small - c;
      const rest = a - (sum - part) + (b - part) + small;
      const smallRest = c - (small - smallPart) + (d - smallPart);
      const first = sum + rest;
      const second = rest - (first - sum) + smallRest;
      const next = first + second;
      high[i] = next;
      low[i] = second - (next - first);
    }
  }

  /** Each sum times a factor, rounded to float32. */
  rounded(factor: number): Float32Array {
    const values = new Float32Array(this.length);
    for (let i = 0; i < values.length; i++) values[i] = this.high[i]! * factor;
    return values;
  }
}

/** How many numbers the upper triangle of a matrix [n, n] has. */
export const triangleLength = (n: number): number => (n * (n + 1)) / 2;

/** The symmetric matrix [n, n] of an upper triangle. */
export function squareOf(triangle: ArrayLike<number>, n: number): Float64Array {
  const square = new Float64Array(n * n);
  for (let i = 0, at = 0; i < n; i++)
    for (let j = i; j < n; j++, at++) {
      square[i * n + j] = triangle[at]!;
      square[j * n + i] = triangle[at]!;
    }
  return square;
}
