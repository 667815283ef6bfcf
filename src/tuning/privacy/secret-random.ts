// The chance that hides rows: from a secret key, so that a run goes on as it began and nobody else can draw it again.
import { createCipheriv, createHmac } from 'node:crypto';

/** Bytes of keystream that are made at once: few at first, since a step of few rows needs few. */
const [leastBytes, mostBytes] = [512, 65_536];

/**
 * A stream of chance: the keystream of AES-256 in counter mode under HMAC-SHA256(key, label). Who has not the key can neither
 * tell it from chance nor draw it again; equal keys and labels give equal streams on any machine.
 */
export class SecretRandom {
  private readonly cipher;
  private bytes = Buffer.alloc(0);
  private next = 0;
  private spare: number | undefined;

  constructor(key: Uint8Array, label: string) {
    const own = createHmac('sha256', key).update(label).digest();
    this.cipher = createCipheriv('aes-256-ctr', own, Buffer.alloc(16));
  }

  /** Uniform in (0, 1), of 53 bits. */
  uniform(): number {
    if (this.next === this.bytes.length) {
      const count = Math.min(mostBytes, Math.max(leastBytes, 2 * this.bytes.length));
      this.bytes = this.cipher.update(Buffer.alloc(count));
      this.next = 0;
    }
    const high = this.bytes.readUInt32LE(this.next);
    const low = this.bytes.readUInt32LE(this.next + 4);
    this.next += 8;
    return (high * 2 ** 21 + (low >>> 11) + 0.5) / 2 ** 53;
  }

  /** Standard normal, by Box and Muller's transform in float64. */
  normal(): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

/** The rows of a step, ascending: each is in it with the same probability, whatever the others are. None is legal. */
export function poissonSample(random: SecretRandom, count: number, samplingRate: number): number[] {
  const places: number[] = [];
  for (let place = 0; place < count; place++) if (random.uniform() < samplingRate) places.push(place);
  return places;
}
