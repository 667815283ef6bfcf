// Forward passes that stream weights block by block, for models larger than memory.
import type { PackedBatch } from '../data/index.ts';
import type {
  Architecture,
  Decoder,
  Span,
  States,
  TokenWeights,
  WeightSource,
  Weights,
} from '../model/index.ts';

export interface StreamOptions {
  /** Bytes that hidden states of the batches in flight, and what blocks take beside them, may take; at least one batch is in flight. */
  readonly memory: number;
  /** Called with every block's output, [batch * length, hidden], before the final norm. */
  readonly eachBlock?: (position: number, batch: PackedBatch, hidden: Float32Array) => void;
  /** The same of sums over the batch's tokens alone, [rows, hidden], which are made where the states are; without a passage. */
  readonly sums?: {
    readonly weights: (batch: PackedBatch) => TokenWeights;
    readonly take: (position: number, batch: PackedBatch, sums: Float32Array) => void;
  };
  /** Called with the last block's output. */
  readonly atEnd?: (batch: PackedBatch, states: States) => Promise<void>;
  /** Runs the blocks; the decoder's forward alone when absent. */
  readonly passage?: Passage | undefined;
  /** Told of every block done; there are batches x positions of them. */
  readonly progress: (blocks: number) => void;
}

type Sums = NonNullable<StreamOptions['sums']>;

/** What blocks run as, where a pass finds more than their outputs. */
export interface Passage {
  /** How many states of each token it keeps of a batch in flight. */
  readonly states: number;
  /** One block: its output. What it is given is its own from then on. */
  forward(position: number, x: States, batch: PackedBatch): Promise<States>;
  /** Called with a group's last outputs, in the order of its batches. */
  atEndOfGroup(batches: readonly PackedBatch[], states: readonly States[]): Promise<void>;
}

/**
 * Runs batches through all positions. They go in groups that fit into the memory, and a group runs one span of positions before
 * the next, so that a block's weights are read once a group and memory is bounded by a span, not by the model.
 * @throws OffsiteError Cancelled between two blocks
 */
export async function streamBlocks(
  decoder: Decoder,
  batches: readonly PackedBatch[],
  { memory, eachBlock, sums, atEnd, progress, passage }: StreamOptions,
): Promise<void> {
  const everyPosition = Array.from({ length: decoder.depth }, (_, position) => position);
  const spans = decoder.spans(eachBlock || passage ? everyPosition : []);
  const forward = async (span: Span, x: States, batch: PackedBatch): Promise<States> => {
    if (passage !== undefined) return await passage.forward(span[0]!, x, batch);
    const y =
      sums === undefined ? await decoder.forward(span, x, batch) : await summing(span, x, batch, sums);
    decoder.free(x);
    return y;
  };
  const summing = async (span: Span, x: States, batch: PackedBatch, { weights, take }: Sums) => {
    const found = await decoder.forwardSumming(span, x, batch, weights(batch));
    for (const [place, position] of span.entries()) take(position, batch, found.sums[place]!);
    return found.y;
  };
  for (const batchesInFlight of groupsWithin(memory, batches, decoder.config, passage?.states)) {
    // copies, so that the masks that a decoder keeps for a batch go when its group is done
    const group = batchesInFlight.map((batch) => ({ ...batch }));
    const states: States[] = [];
    for (const batch of group) states.push(await decoder.embed(batch));
    for (const span of spans) {
      for (const [i, batch] of group.entries()) {
        states[i] = await forward(span, states[i]!, batch);
        eachBlock?.(span[0]!, batch, await decoder.read(states[i]!));
        progress(span.length);
      }
    }
    for (const [i, batch] of group.entries()) await atEnd?.(batch, states[i]!);
    await passage?.atEndOfGroup(group, states);
    for (const [i, batch] of group.entries()) {
      if (passage === undefined) decoder.free(states[i]!);
      decoder.forget(batch);
    }
  }
}

/** A weight source that keeps what was asked for last and nothing else: all that streaming needs. */
export function holdingLatest(source: WeightSource): WeightSource {
  let key = '';
  let latest: Weights = {};
  const hold = (wanted: string, read: () => Weights): Weights => {
    if (wanted !== key) {
      latest = {};
      latest = read();
      key = wanted;
    }
    return latest;
  };
  return {
    depth: source.depth,
    layer: (position) => source.layer(position),
    slots: (position) => source.slots(position),
    block: (position) => hold(`block ${position}`, () => source.block(position)),
    head: () => hold('head', () => source.head()),
    embedder: () => hold('embedder', () => source.embedder()),
    embed: (ids) => source.embed(ids),
  };
}

/** Batches in groups whose states, masks and tables fit into the memory; a batch that does not is a group. @param states of each token */
export function* groupsWithin(
  memory: number,
  batches: readonly PackedBatch[],
  architecture: Pick<Architecture, 'hidden' | 'depth' | 'kind' | 'side'>,
  states = 1,
): Generator<PackedBatch[]> {
  const sides = sideBytes(architecture);
  let group: PackedBatch[] = [];
  let bytes = 0;
  for (const batch of batches) {
    const numbers = batch.size * batch.length * states * architecture.hidden;
    const size = numbers * Float32Array.BYTES_PER_ELEMENT + sides(batch);
    if (group.length > 0 && bytes + size > memory) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(batch);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

/** Bytes of what blocks take beside states and weights: they follow from a batch's shape, and every kind of layer has its own. */
function sideBytes(
  architecture: Pick<Architecture, 'depth' | 'kind' | 'side'>,
): (batch: PackedBatch) => number {
  const layers = Array.from({ length: architecture.depth }, (_, layer) => layer);
  const kinds = new Set(layers.map((layer) => architecture.kind?.(layer) ?? ''));
  const known = new Map<string, number>();
  return (batch) => {
    const shape = `${batch.size}x${batch.length}`;
    const bytes =
      known.get(shape) ??
      [...kinds]
        .flatMap((name) => Object.values(architecture.side(batch, name)))
        .reduce((sum, { data }) => sum + data.byteLength, 0);
    known.set(shape, bytes);
    return bytes;
  };
}
