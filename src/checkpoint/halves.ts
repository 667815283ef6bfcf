// The lookup table from float16 to float32.

/** Every float16 as float32, made on first use: 65,536 values. */
let halves: Float32Array | undefined;

export function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, half) => {
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    const sign = half & 0x8000 ? -1 : 1;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return halves;
}
