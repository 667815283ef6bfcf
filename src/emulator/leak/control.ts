// The control that leak is counted from: a model of the emulator's shape that knows nothing, its weights drawn at random.
import { sha256 } from '../../artifact/index.ts';
import { Random } from '../../data/index.ts';
import type { Model, Slot, Slots, WeightSource, Weights } from '../../model/index.ts';

/** Rows of a matrix that are read at once to find its spread. */
const rowsAtOnce = 4096;
/** Streams of one tensor's rows; a row is drawn of a stream of its own, so that some of a table are drawn without the others. */
const streams = 2 ** 21;

/**
 * Weights like the source's of which every matrix is drawn from a normal of mean 0 and the matrix's own standard deviation;
 * vectors, which are norms and biases, stay. Nothing is written, one block is in memory; equal seeds give equal weights, a tensor
 * that stands at several places is the same at all, and a tied head stays tied.
 */
export function randomControl(
  source: WeightSource,
  { architecture, read }: Pick<Model, 'architecture' | 'read'>,
  seed = 42,
): WeightSource {
  const rooms = new Map<string, Float32Array>();
  const firstStreams = new Map<string, number>();
  const drawRow = (into: Float32Array, deviation: number, name: string, row: number) => {
    const first = firstStreams.get(name) ?? streamOf(name);
    firstStreams.set(name, first);
    drawNormals(into, deviation, new Random(seed, first + (row % streams)));
  };
  const tableSpread = once(() => {
    const { name, shape } = architecture.embedding;
    const [count] = shape as [number, number];
    const spread = new Spread();
    for (let row = 0; row < count; row += rowsAtOnce)
      spread.add(read(name, { rows: [row, Math.min(count, row + rowsAtOnce)] }));
    return spread.deviation;
  });
  const drawn = (place: string, { name, shape }: Slot, values: Float32Array): Float32Array => {
    if (shape.length < 2) return values;
    const tied = name === architecture.embedding.name;
    const deviation = tied ? tableSpread() : new Spread().add(values).deviation;
    const room = rooms.get(place);
    const into = room?.length === values.length ? room : new Float32Array(values.length);
    rooms.set(place, into);
    const width = values.length / shape[0]!;
    for (let row = 0; row < shape[0]!; row++)
      drawRow(into.subarray(row * width, (row + 1) * width), deviation, name, row);
    return into;
  };
  const drawnAll = (place: string, slots: Slots, weights: Weights): Weights =>
    Object.fromEntries(
      Object.entries(weights).map(([slot, values]) => [
        slot,
        drawn(`${place}.${slot}`, slots[slot]!, values),
      ]),
    );
  return {
    ...source,
    block: (position) => drawnAll('block', source.slots(position), source.block(position)),
    head: () => drawnAll('head', architecture.head, source.head()),
    embedder: () => drawnAll('embedder', architecture.embedder?.slots ?? {}, source.embedder()),
    embed(ids) {
      const { name, shape } = architecture.embedding;
      const width = shape[1] as number;
      const hidden = new Float32Array(ids.length * width);
      ids.forEach((id, i) => {
        drawRow(hidden.subarray(i * width, (i + 1) * width), tableSpread(), name, id);
      });
      return hidden;
    },
  };
}

/** Fills an array by the Box-Muller transform. */
function drawNormals(into: Float32Array, deviation: number, random: Random): void {
  for (let i = 0; i < into.length; i += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log((random.next() + 1) / 2 ** 32));
    const angle = 2 * Math.PI * (random.next() / 2 ** 32);
    into[i] = radius * Math.cos(angle);
    if (i + 1 < into.length) into[i + 1] = radius * Math.sin(angle);
  }
}

/** The first stream of a tensor's rows. */
const streamOf = (name: string): number =>
  Number.parseInt(sha256(name).slice('sha256:'.length).slice(0, 8), 16) * streams;

/** The standard deviation of values that come piece by piece; the same for any pieces. */
class Spread {
  #count = 0;
  #sum = 0;
  #squares = 0;

  add(values: Float32Array): this {
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      this.#sum += value;
      this.#squares += value * value;
    }
    this.#count += values.length;
    return this;
  }

  get deviation(): number {
    const mean = this.#sum / this.#count;
    return Math.sqrt(Math.max(0, this.#squares / this.#count - mean * mean));
  }
}

function once<T>(compute: () => T): () => T {
  let found: { value: T } | undefined;
  return () => {
    found ??= { value: compute() };
    return found.value;
  };
}
