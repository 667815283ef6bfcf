// Chance that follows from names and numbers alone, without a state: equal ones draw equally on any machine.

/** A name's 32 bits (FNV-1a). */
export function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

/** 32 bits from 32 bits, each of which depends on all of them (murmur3's finaliser). */
export function mix(x: number): number {
  let y = x ^ (x >>> 16);
  y = Math.imul(y, 0x85ebca6b);
  y ^= y >>> 13;
  y = Math.imul(y, 0xc2b2ae35);
  return y ^ (y >>> 16);
}
