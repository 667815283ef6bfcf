// The graphs of blocks: forward, with sums of what their maps are given, and split for the backward pass.
import type { PackedBatch } from '../data/index.ts';
import { type Differentiated, GraphBuilder, type Split, split, type Value } from '../graph/index.ts';
import type { Architecture, Slots } from './family.ts';
import { addInputSums, gradientSums, mapInputs, mapSites } from './map-sums.ts';
import type { Span } from './spans.ts';
import type { WeightSource } from './weights.ts';

/** Which gradients of a span are asked for. */
export interface Wanted {
  /** Of which weights: all, none, or by position those of some slots or of all. */
  weights: boolean | ReadonlyMap<number, readonly string[] | true>;
  /** dL/dx, unless false. */
  input?: boolean;
  /** Asks for the sums of `gradientSums` and for no single weight's gradient; of a span of one block. */
  maps?: true;
}

/** A span's input and output in a graph, and its weights by input name. */
interface Built {
  readonly x: Value;
  readonly y: Value;
  /** The states behind each of its blocks; the last are `y`. */
  readonly behind: readonly Value[];
  readonly weights: Readonly<Record<string, Value>>;
}

/** What the graphs of a decoder are; where they run, nobody here knows. */
export class BlockGraphs {
  readonly #config: Architecture;
  readonly #weights: WeightSource;
  readonly #mostScores: number | undefined;
  readonly #splits = new Map<string, Split>();

  /** @param mostScores of graphs without gradients, as `BlockContext` has it */
  constructor(config: Architecture, weights: WeightSource, mostScores: number | undefined) {
    this.#config = config;
    this.#weights = weights;
    this.#mostScores = mostScores;
  }

  forward(span: Span, batch: PackedBatch): GraphBuilder {
    const g = new GraphBuilder();
    g.output('y', this.#build(g, span, batch, this.#mostScores).y, { stays: true });
    return g;
  }

  /**
   * With weighted sums of the states behind each block over a batch's tokens, [rows, D], by `counted` [rows, tokens], which
   * says how much each token counts.
   */
  summing(span: Span, batch: PackedBatch, rows: number): GraphBuilder {
    const g = new GraphBuilder();
    const { y, behind } = this.#build(g, span, batch, this.#mostScores);
    g.output('y', y, { stays: true });
    const tokens = batch.size * batch.length;
    const counted = g.input('counted', 'float32', [rows, tokens]);
    for (const [place, states] of behind.entries())
      g.output(sumsName(place), g.matmul(counted, g.reshape(states, [tokens, this.#config.hidden])));
    return g;
  }

  /** One block's, with what `addInputSums` finds; `counted` is 1 for each token that is no padding. */
  observing(position: number, batch: PackedBatch): GraphBuilder {
    const g = this.forward([position], batch);
    const counted = g.input('counted', 'float32', [batch.size * batch.length, 1]);
    addInputSums(g, this.#weights.slots(position), counted);
    return g;
  }

  /** How wide each input of a block's linear maps is; maps that are given the same have one. */
  inputWidths(position: number, batch: PackedBatch): number[] {
    const g = this.forward([position], batch);
    return mapInputs(g, this.#weights.slots(position)).map(({ input }) => input.shape.at(-1) as number);
  }

  /** Forward and backward for the wanted gradients. */
  split(span: Span, batch: PackedBatch, wanted: Wanted): Split {
    const key = this.key(this.nameOf(span, wanted), span, batch);
    let parts = this.#splits.get(key);
    if (parts === undefined) {
      parts = split((g) => {
        const built = this.#build(g, span, batch);
        const input = wanted.input === false ? [] : [built.x];
        if (wanted.maps) return this.#mapGradients(g, span[0]!, built, input);
        const asked = span.flatMap((position, i) =>
          this.slots(position, wanted).map((slot) => built.weights[weightName(span, i, slot)] as Value),
        );
        return { y: built.y, wrt: [...input, ...asked], stays: isStates };
      });
      this.#splits.set(key, parts);
    }
    return parts;
  }

  /** The slots of a position whose gradients are asked for. */
  slots(position: number, { weights }: Wanted): readonly string[] {
    const asked = typeof weights === 'boolean' ? weights : weights.get(position);
    if (asked === true) return Object.keys(this.#weights.slots(position));
    return asked || [];
  }

  /** Names what is wanted of a span. */
  nameOf(span: Span, wanted: Wanted): string {
    const { weights, input = true, maps } = wanted;
    const asked = span.flatMap((position, i) =>
      weights === true
        ? []
        : this.slots(position, wanted).map((slot) => weightName(span, i, slot).slice('w.'.length)),
    );
    return `gradients of ${[
      ...(input ? ['input'] : []),
      ...(maps ? ['maps'] : []),
      ...(weights === true ? ['weights'] : asked),
    ].join(' and ')}`;
  }

  /** Of a graph of blocks: other slots, or other shapes of them, make another one, and so do masks and sides. */
  key(graph: string, span: Span, batch: PackedBatch): string {
    const kinds = this.kinds(span);
    return [
      `${graph} ${batch.size}x${batch.length} ${this.#mostScores ?? ''}`,
      ...span.flatMap((position) => [
        ...Object.entries(this.#weights.slots(position)).map(([slot, { shape }]) => `${slot} ${shape}`),
        ...(this.#weights.masked?.(position) ? ['masked'] : []),
        ...(kinds.length > 1 ? [`side ${kinds.indexOf(this.kindAt(position))}`] : []),
      ]),
    ].join(', ');
  }

  kindAt(position: number): string {
    return this.#config.kind?.(this.#weights.layer(position)) ?? '';
  }

  /** The kinds of layers in a span, each once: they share their sides. */
  kinds(span: Span): string[] {
    return [...new Set(span.map((position) => this.kindAt(position)))];
  }

  /** Adds a span's blocks, each behind the one before. */
  #build(g: GraphBuilder, span: Span, batch: PackedBatch, mostScores?: number): Built {
    const x = g.input('x', 'float32', [batch.size, batch.length, this.#config.hidden]);
    const kinds = this.kinds(span);
    const sides = kinds.map((kind, i) =>
      Object.fromEntries(
        Object.entries(this.#config.side(batch, kind)).map(([name, { dtype, shape }]) => [
          name,
          g.input(sideName(i, name), dtype, shape),
        ]),
      ),
    );
    const weights: Record<string, Value> = {};
    const behind: Value[] = [];
    let y = x;
    for (const [i, position] of span.entries()) {
      const nameAt = (slot: string) => weightName(span, i, slot);
      const masks = Object.entries(this.#weights.masks?.(position, batch) ?? {});
      const w = {
        ...weightInputs(g, this.#weights.slots(position), nameAt),
        ...Object.fromEntries(
          masks.map(([slot, { dtype, shape }]) => [slot, g.input(nameAt(slot), dtype, shape)]),
        ),
      };
      for (const value of Object.values(w)) weights[value.name] = value;
      const side = sides[kinds.indexOf(this.kindAt(position))]!;
      y = this.#config.buildBlock({ g, side, w, mostScores }, y);
      behind.push(y);
    }
    return { x, y, behind, weights };
  }

  #mapGradients(
    g: GraphBuilder,
    position: number,
    { y, weights }: Built,
    input: readonly Value[],
  ): Differentiated {
    const slots = this.#weights.slots(position);
    const sites = mapSites(g, slots);
    return {
      y,
      stays: isStates,
      wrt: [
        ...sites.flatMap(({ slot, output }) => [weights[weightName([position], 0, slot)] as Value, output]),
        ...input,
      ],
      outputs(builder, gradients) {
        const ofMaps = sites.map(({ slot }, i) => ({
          slot,
          weight: gradients[2 * i] as Value,
          output: gradients[2 * i + 1] as Value,
        }));
        const dx = gradients[2 * sites.length];
        return { ...gradientSums(builder, slots, ofMaps), ...(dx && { 'd.x': dx }) };
      },
    };
  }
}

/** The graph's name of a weight at a place of a span. */
export const weightName = (span: Span, place: number, slot: string): string =>
  span.length === 1 ? `w.${slot}` : `w.${place}.${slot}`;

/** The graph's name of the sums over the states behind a place of a span. */
export const sumsName = (place: number): string => `sums.${place}`;

/** The graph's name of a side of the kind of that number. */
export const sideName = (kind: number, name: string): string => (kind === 0 ? name : `${kind}.${name}`);

export const weightInputs = (
  g: GraphBuilder,
  slots: Slots,
  nameOf = (slot: string) => `w.${slot}`,
): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(slots).map(([slot, { shape }]) => [slot, g.input(nameOf(slot), 'float32', shape)]),
  );

const isStates = (output: string): boolean => output === 'd.x';
