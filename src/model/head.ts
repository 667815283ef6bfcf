// What the language modelling head computes at the targets: scores, greedy choices, logits, gradients.
import type { Targets } from '../data/index.ts';
import type { Tensor } from '../engine/index.ts';
import { type GraphBuilder, gradients, type Value } from '../graph/index.ts';
import type { Architecture, Slot } from './family.ts';

/**
 * What is computed of the states at some targets: a graph behind final norm and head, which runs over them chunk by chunk,
 * since the logits of all would not fit.
 */
export interface HeadProgram<R> {
  /** Names the graph. */
  readonly name: string;
  /** Adds inputs and outputs of its own. */
  build(g: GraphBuilder, head: HeadValues): void;
  /** Adds dL/dh, [n, D], of a loss of its own, where it has one. */
  differentiate?(g: GraphBuilder, head: HeadValues): Value;
  begin(given: HeadInput): HeadRun<R>;
}

/** The values of a chunk of `n` targets: states [n, D], tokens [n, 1], the head's weights by slot, logits [n, V]. */
export interface HeadValues {
  readonly h: Value;
  readonly tokens: Value;
  readonly w: Readonly<Record<string, Value>>;
  readonly logits: Value;
}

export interface HeadInput {
  readonly architecture: Architecture;
  readonly targets: Targets;
}

/** Some targets of a run; the graph takes `size`, of which the first `count` are there. */
export interface Chunk {
  readonly start: number;
  readonly count: number;
  readonly size: number;
}

/** One run of a program. */
export interface HeadRun<R> {
  /** What the program's own inputs are given. */
  inputs?(chunk: Chunk): Record<string, Tensor>;
  /** Outputs that are written where there is room for them already. */
  readonly room?: Readonly<Record<string, Tensor>>;
  take(outputs: Readonly<Record<string, Tensor>>, chunk: Chunk): void;
  /** Whole when the last chunk was taken. */
  readonly result: R;
}

/** The last chunk of states is filled up to a multiple of this. */
export const headStep = 16;
const mostStates = 64;
/** Of a chunk: only a vocabulary beyond 2^20, larger than any usual one, has fewer than 64 states in it. */
const mostLogits = 2 ** 26;

/** How many states the head takes at once, at most: a chunk of logits is this many rows of the vocabulary. */
export const statesAtOnce = (vocabulary: number): number =>
  Math.min(mostStates, Math.max(1, Math.floor(mostLogits / vocabulary / headStep)) * headStep);

/** The log-probability of each target's token. */
export const score: HeadProgram<Float32Array> = { name: 'score', build: addScores, begin: scoresTaken };

/** The same, and the token that greedy decoding chooses at each target: the likeliest, of equal ones the lowest. */
export const greedyTokens: HeadProgram<{ scores: Float32Array; tokens: Int32Array }> = {
  name: 'score greedy',
  build(g, head) {
    addScores(g, head);
    g.output('token', g.argMax(head.logits));
  },
  begin(given) {
    const scores = scoresTaken(given);
    const tokens = new Int32Array(given.targets.length);
    return {
      take(outputs, chunk) {
        scores.take(outputs, chunk);
        const token = outputs['token']!.data as BigInt64Array;
        for (let i = 0; i < chunk.count; i++) tokens[chunk.start + i] = Number(token[i]);
      },
      result: { scores: scores.result, tokens },
    };
  },
};

/** The logits [n, V] at the targets, whatever their tokens. */
export const logits: HeadProgram<Float32Array> = {
  name: 'logits',
  build: (g, head) => g.output('logits', head.logits),
  begin({ targets, architecture: { vocabulary } }) {
    const result = new Float32Array(targets.length * vocabulary);
    return {
      take: (outputs, { start, count }) =>
        result.set(floatsOf(outputs, 'logits').subarray(0, count * vocabulary), start * vocabulary),
      result,
    };
  },
};

/** Where the gradient of the head's own weight is summed, and room for that of one chunk. */
export interface HeadGradient {
  readonly sum: Float32Array;
  readonly chunk: Float32Array;
}

/** @param size of the head's weight */
export const headGradient = (size: number): HeadGradient => ({
  sum: new Float32Array(size),
  chunk: new Float32Array(size),
});

/** The log-probability of each target's token, and dL/dh where dL/d(log p) of each target is given. */
export function scoreGradient(weights: Float32Array, head?: HeadGradient): HeadProgram<Float32Array> {
  return {
    name: `gradient of ${head ? 'states and head' : 'states'}`,
    build: addScores,
    differentiate(g, { h, tokens, w, logits }) {
      const [size, vocabulary] = logits.shape as [number, number];
      // d(-log p)/d(logits) = softmax - one-hot
      const weight = g.input('weights', 'float32', [size, 1]);
      const onehot = g.oneHot(g.reshape(tokens, [size]), vocabulary);
      const gradient = g.mul(weight, g.sub(g.softmax(logits), onehot));
      const wrt = head ? [h, w['head'] as Value] : [h];
      const [dh, dhead] = gradients(g, [{ value: logits, gradient }], wrt);
      if (dhead !== undefined) g.output('d.head', dhead);
      return dh as Value;
    },
    begin(given) {
      const scores = scoresTaken(given);
      return {
        inputs({ start, count, size }) {
          const data = new Float32Array(size);
          for (let i = 0; i < count; i++) data[i] = -weights[start + i]!;
          return { weights: { dtype: 'float32', shape: [size, 1], data } };
        },
        ...(head && { room: { 'd.head': roomFor(given.architecture.head['head']!, head.chunk) } }),
        take(outputs, chunk) {
          scores.take(outputs, chunk);
          if (head !== undefined) addTo(head.sum, floatsOf(outputs, 'd.head'));
        },
        result: scores.result,
      };
    },
  };
}

function addScores(g: GraphBuilder, { tokens, logits }: HeadValues): void {
  g.output('scores', g.gatherElements(g.logSoftmax(logits), tokens));
}

function scoresTaken({ targets }: HeadInput): HeadRun<Float32Array> {
  const result = new Float32Array(targets.length);
  return {
    take: (outputs, { start, count }) => result.set(floatsOf(outputs, 'scores').subarray(0, count), start),
    result,
  };
}

const roomFor = ({ shape }: Slot, data: Float32Array): Tensor => ({ dtype: 'float32', shape, data });

const floatsOf = (outputs: Readonly<Record<string, Tensor>>, name: string): Float32Array =>
  outputs[name]!.data as Float32Array;

function addTo(sum: Float32Array, more: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += more[i]!;
}
