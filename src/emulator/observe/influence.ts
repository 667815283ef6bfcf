// Block influence: how much a block turns the hidden state of each token (ShortGPT, arXiv 2403.03853).

/**
 * The sum of cos(x, y) over all tokens that are no padding, in float64; a state that is zero has 0.
 * @param x a block's input, [tokens, width]; @param y its output
 * @param rows each token's row, -1 for padding
 */
export function summedCosines(x: Float32Array, y: Float32Array, width: number, rows: Int32Array): number {
  let sum = 0;
  rows.forEach((row, token) => {
    if (row < 0) return;
    let [xy, xx, yy] = [0, 0, 0];
    for (let i = token * width; i < (token + 1) * width; i++) {
      xy += x[i]! * y[i]!;
      xx += x[i]! * x[i]!;
      yy += y[i]! * y[i]!;
    }
    const norm = Math.sqrt(xx) * Math.sqrt(yy);
    if (norm !== 0) sum += xy / norm;
  });
  return sum;
}
