// How a head's graph comes to the states of its targets, and dL/d(states) back from it: by the host, or where the states lie.
import type { Targets } from '../data/index.ts';
import type { Held, Outputs, Tensor } from '../engine/index.ts';
import { type GraphBuilder, product, type Value } from '../graph/index.ts';
import type { Chunk } from './head.ts';

/** The states of targets, chunk by chunk. */
export interface HeadRows {
  /** Of the graph's key. */
  readonly name: string;
  /** Adds the states of a chunk, [size, D]. */
  states(g: GraphBuilder, size: number): Value;
  /** Adds what becomes of dL/d(these). */
  gradient(g: GraphBuilder, dh: Value): void;
  feeds(chunk: Chunk): Record<string, Held>;
  take(outputs: Outputs, chunk: Chunk): void;
  /** dL/dx, [B, T, D], when the last chunk was taken; absent where no graph has a gradient. */
  readonly dx: Held | undefined;
}

/** The host picks the states, and adds up their gradients. */
export class RowsByHost implements HeadRows {
  readonly name = '';
  dx: Tensor | undefined;
  readonly #x: Tensor;
  readonly #width: number;
  readonly #targets: Targets;

  constructor(x: Tensor, targets: Targets) {
    this.#x = x;
    this.#width = x.shape.at(-1) as number;
    this.#targets = targets;
  }

  states(g: GraphBuilder, size: number): Value {
    return g.input('h', 'float32', [size, this.#width]);
  }

  gradient(g: GraphBuilder, dh: Value): void {
    g.output('d.h', dh);
  }

  feeds({ start, count, size }: Chunk): Record<string, Tensor> {
    const width = this.#width;
    const x = this.#x.data as Float32Array;
    const data = new Float32Array(size * width);
    for (let i = 0; i < count; i++) {
      const { from } = this.#targets.at(start + i)!;
      data.set(x.subarray(from * width, (from + 1) * width), i * width);
    }
    return { h: { dtype: 'float32', shape: [size, width], data } };
  }

  take({ home }: Outputs, { start, count }: Chunk): void {
    const dh = home['d.h']?.data as Float32Array | undefined;
    if (dh === undefined) return;
    this.dx ??= { ...this.#x, data: new Float32Array(this.#x.data.length) };
    const dx = this.dx.data as Float32Array;
    const width = this.#width;
    for (let i = 0; i < count; i++) {
      const from = this.#targets.at(start + i)!.from * width;
      for (let d = 0; d < width; d++) dx[from + d]! += dh[i * width + d]!;
    }
  }
}

/** The graph picks the states and adds their gradients to those of the chunks before. */
export class RowsInPlace implements HeadRows {
  dx: Held | undefined;
  readonly #x: Held;
  readonly #targets: Targets;
  readonly #free: (held: Held) => void;

  constructor(x: Held, targets: Targets, free: (held: Held) => void) {
    this.#x = x;
    this.#targets = targets;
    this.#free = free;
  }

  get name(): string {
    return ` of ${this.#x.shape}${this.dx === undefined ? '' : ' and before'}`;
  }

  states(g: GraphBuilder, size: number): Value {
    const { shape } = this.#x;
    const x = g.input('x', 'float32', shape);
    return g.gather(g.reshape(x, rowsOf(shape)), g.input('from', 'int64', [size]), 0);
  }

  gradient(g: GraphBuilder, dh: Value): void {
    const { shape } = this.#x;
    const from = g.inputs.find(({ name }) => name === 'from') as Value;
    const along = g.expand(g.reshape(from, [...from.shape, 1]), dh.shape);
    const own = g.reshape(g.scatterSum(rowsOf(shape), along, dh, 0), shape);
    const all = this.dx === undefined ? own : g.add(g.input('before', 'float32', shape), own);
    g.output('d.x', all, { stays: true });
  }

  feeds({ start, count, size }: Chunk): Record<string, Held> {
    const data = new BigInt64Array(size);
    for (let i = 0; i < count; i++) data[i] = BigInt(this.#targets.at(start + i)!.from);
    return {
      x: this.#x,
      from: { dtype: 'int64', shape: [size], data } as Tensor,
      ...(this.dx && { before: this.dx }),
    };
  }

  take({ held }: Outputs): void {
    if (this.dx !== undefined) this.#free(this.dx);
    this.dx = held['d.x'];
  }
}

/** All tokens one after the other. */
const rowsOf = (shape: readonly number[]): [number, number] => {
  const width = shape.at(-1) as number;
  return [product(shape) / width, width];
};
