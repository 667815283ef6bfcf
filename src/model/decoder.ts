// Forward and backward passes of a decoder-only model over spans of its blocks: what is computed where, and what stays there.
import { badSpec } from '../api/index.ts';
import type { PackedBatch, Targets } from '../data/index.ts';
import type { Engine, Held, Session, Tensor } from '../engine/index.ts';
import { GraphBuilder, product } from '../graph/index.ts';
import { BlockGraphs, sideName, sumsName, type Wanted, weightInputs, weightName } from './block-graphs.ts';
import type { Architecture } from './family.ts';
import { type HeadGradient, type HeadProgram, headStep, scoreGradient, statesAtOnce } from './head.ts';
import { type HeadRows, RowsByHost, RowsInPlace } from './head-rows.ts';
import { PlacedWeights } from './placed-weights.ts';
import { ResidualPool, type Residuals } from './residuals.ts';
import { type Span, spansWithin } from './spans.ts';
import type { WeightSource, Weights } from './weights.ts';

/** A batch's hidden states, or dL/d(these), [B, T, D], wherever the engine has them: `read` tells. */
export type States = Held;

/** Sums over a batch's tokens that are no padding, by name. */
export type Sums = Readonly<Record<string, Float32Array>>;

/** What a span's forward keeps for its backward; `backward` takes it, and its memory is used again. */
export interface Saved {
  readonly wanted: Wanted;
  readonly x: States;
  /** By the forward graph's output. */
  readonly values: Readonly<Record<string, Held>>;
  /** The host's memory that they lie in, if they do. */
  readonly residuals?: Residuals;
}

/** How much each token of a batch counts in a sum over its tokens, [rows, tokens], row-major. */
export interface TokenWeights {
  readonly rows: number;
  readonly weights: Float32Array;
}

export interface SpanGradients {
  /** dL/dx; absent where it was not asked for. */
  dx?: States;
  /** dL/dw by slot, at each position where it was asked for. */
  weights: ReadonlyMap<number, Weights>;
  /** Of the linear maps' gradients, when asked for. */
  sums?: Sums;
}

export interface DecoderOptions {
  /**
   * Bytes of weights that one graph may take, so that as many blocks are one graph: one block each where that is 0. The engine's when
   * absent: 0 on the CPU, which then has one block's weights at a time.
   */
  spanMemory?: number;
  /**
   * Bytes of a sequence's attention scores from which a forward pass without gradients has none of them in memory; 64 MiB when
   * absent. Shorter rows keep the numbers of the graphs that training runs; no number follows from the memory that there is.
   */
  mostScores?: number;
}

/** Where scores of a sequence take so many bytes they are not in memory, where nothing else is asked for. */
export const usualScores = 64 * 2 ** 20;

/** Sums are of a multiple of so many rows, so that few graphs serve all batches. */
const rowStep = 16;

/** Of what trains: whether a block is run again on the way back, for which memory decides, must change no bit. */
export const forTraining: DecoderOptions = { mostScores: Number.POSITIVE_INFINITY };

/**
 * Runs a decoder over packed batches, span by span: full model and emulator alike, by the weight source. What asks for passes knows
 * spans and states, and not where these are: on the CPU they are the host's; a device keeps states, residuals and the weights that
 * stay as they are, and only weights that change go there in each run.
 */
export class Decoder {
  readonly config: Architecture;
  readonly depth: number;
  readonly #engine: Engine;
  readonly #weights: WeightSource;
  readonly #graphs: BlockGraphs;
  readonly #spanMemory: number;
  readonly #placed: PlacedWeights;
  readonly #sides = new WeakMap<PackedBatch, Map<string, Record<string, Held>>>();
  readonly #residuals = new Map<string, ResidualPool>();

  constructor(
    engine: Engine,
    architecture: Architecture,
    weights: WeightSource,
    { spanMemory = engine.spanMemory, mostScores = usualScores }: DecoderOptions = {},
  ) {
    this.#engine = engine;
    this.config = architecture;
    this.#weights = weights;
    this.#graphs = new BlockGraphs(architecture, weights, engine.tilesAttention ? mostScores : undefined);
    this.#spanMemory = spanMemory;
    const asRead = spanMemory === 0 && !engine.storesWeights;
    this.#placed = new PlacedWeights(engine, architecture, weights, asRead);
    this.depth = weights.depth;
  }

  /** All positions in spans, in their order. @param cuts positions behind which somebody asks for the states */
  spans(cuts: Iterable<number> = []): Span[] {
    const positions = Array.from({ length: this.depth }, (_, position) => position);
    const weights = positions.map((position) => this.#placed.bytesAt(position));
    return spansWithin({ weights, memory: this.#spanMemory, cuts: new Set(cuts) });
  }

  /** What states hold; on the CPU their own memory. */
  async read(states: States): Promise<Float32Array> {
    return (await this.#engine.read(states)).data as Float32Array;
  }

  /** States out of the host's, whose memory is theirs from then on. */
  async place(data: Float32Array, { size, length }: PackedBatch): Promise<States> {
    const states: Tensor = { dtype: 'float32', shape: [size, length, this.config.hidden], data };
    return this.#engine.hasDevice ? await this.#engine.hold(states) : states;
  }

  /** Takes back the memory of states that nobody needs any more. */
  free(states: States): void {
    this.#engine.free(states);
  }

  /** Takes back what is kept of a batch that is done. */
  forget(batch: PackedBatch): void {
    for (const side of this.#sides.get(batch)?.values() ?? [])
      for (const tensor of Object.values(side)) this.#engine.free(tensor);
    this.#sides.delete(batch);
  }

  /** The states before the first block. @throws OffsiteError BadSpec where a row is longer than the model's positions reach */
  async embed(batch: PackedBatch): Promise<States> {
    const { positions = Number.POSITIVE_INFINITY } = this.config;
    const longest = batch.positions.reduce((most, position) => Math.max(most, position + 1), 0);
    if (longest > positions)
      throw badSpec(
        `maxLength: a row has more tokens than the ${positions} that the model has positions for`,
      );
    const rows = this.#weights.embed(batch.ids);
    const { embedder, embedding } = this.config;
    if (embedder === undefined) return await this.place(rows, batch);
    const { size, length } = batch;
    const shape = [size, length, embedding.shape[1] as number];
    const session = await this.#engine.session(`embed ${size}x${length}`, () => {
      const g = new GraphBuilder();
      const positions = g.input('positions', 'int64', [size, length]);
      const x = g.input('rows', 'float32', shape);
      g.output('x', embedder.build(g, x, positions, weightInputs(g, embedder.slots)), { stays: true });
      return g;
    });
    const given: Record<string, Tensor> = {
      positions: { dtype: 'int64', shape: [size, length], data: BigInt64Array.from(batch.positions, BigInt) },
      rows: { dtype: 'float32', shape, data: rows },
    };
    const weights = await this.#placed.ofEmbedder(embedder.slots);
    const { held } = await session.runHolding({ ...given, ...weights });
    return held['x'] as States;
  }

  /** The states behind a span. */
  async forward(span: Span, x: States, batch: PackedBatch): Promise<States> {
    const session = await this.#session('forward', span, batch, () => this.#graphs.forward(span, batch));
    const { held } = await session.runHolding({ x, ...(await this.#feeds(span, batch)) });
    return held['y'] as States;
  }

  /** Whether sums over states are made where these are, so that they need not come home: `forwardSumming`. */
  get sumsInPlace(): boolean {
    return this.#engine.hasDevice || this.#engine.storesWeights;
  }

  /** The states behind a span, and behind each of its positions weighted sums over the batch's tokens, [rows, D]. */
  async forwardSumming(
    span: Span,
    x: States,
    batch: PackedBatch,
    { rows, weights }: TokenWeights,
  ): Promise<{ y: States; sums: Float32Array[] }> {
    const size = Math.ceil(rows / rowStep) * rowStep;
    const tokens = batch.size * batch.length;
    const session = await this.#session(`summing ${size}`, span, batch, () =>
      this.#graphs.summing(span, batch, size),
    );
    const data = new Float32Array(size * tokens);
    data.set(weights);
    const counted: Tensor = { dtype: 'float32', shape: [size, tokens], data };
    const { home, held } = await session.runHolding({ x, ...(await this.#feeds(span, batch)), counted });
    const sums = span.map((_, place) =>
      (home[sumsName(place)]!.data as Float32Array).subarray(0, rows * this.config.hidden),
    );
    return { y: held['y'] as States, sums };
  }

  /** One block, with what `addInputSums` finds of its linear maps' inputs. */
  async forwardObserving(
    position: number,
    x: States,
    batch: PackedBatch,
  ): Promise<{ y: States; sums: Sums }> {
    const session = await this.#session('observing inputs', [position], batch, () =>
      this.#graphs.observing(position, batch),
    );
    const data = Float32Array.from(batch.rows, (row) => Number(row >= 0));
    const counted: Tensor = { dtype: 'float32', shape: [data.length, 1], data };
    const feeds = await this.#feeds([position], batch);
    const { home, held } = await session.runHolding({ x, ...feeds, counted });
    return { y: held['y'] as States, sums: floatsOf(home) };
  }

  /** How wide each input of a block's linear maps is; maps that are given the same have one. */
  inputWidths(position: number, batch: PackedBatch): number[] {
    return this.#graphs.inputWidths(position, batch);
  }

  /** The states behind a span, keeping what `backward` needs for the wanted gradients. */
  async forwardSaving(
    span: Span,
    x: States,
    batch: PackedBatch,
    wanted: Wanted,
  ): Promise<{ y: States; saved: Saved }> {
    // Residuals would go home and back: the backward graph makes them again.
    if (this.#engine.storesWeights)
      return { y: await this.forward(span, x, batch), saved: { wanted, x, values: {} } };
    const parts = this.#graphs.split(span, batch, wanted);
    const name = this.#graphs.nameOf(span, wanted);
    const session = await this.#session(`saving for ${name}`, span, batch, () => parts.forward);
    const residuals = this.#engine.hasDevice ? undefined : this.#poolOf(name).take(parts.residuals);
    const feeds = { x, ...(await this.#feeds(span, batch)) };
    const { y, ...values } = (await session.runHolding(feeds, residuals?.tensors)).held;
    return { y: y as States, saved: { wanted, x, values, ...(residuals && { residuals }) } };
  }

  /** The gradients of a span from dL/dy and what `forwardSaving` kept; the memory of both, and of the states before, is then free. */
  async backward(span: Span, dy: States, saved: Saved, batch: PackedBatch): Promise<SpanGradients> {
    const { wanted, x, values, residuals } = saved;
    const parts = this.#graphs.split(span, batch, wanted);
    const name = this.#graphs.nameOf(span, wanted);
    const graph = this.#engine.storesWeights ? parts.whole : parts.backward;
    const session = await this.#session(name, span, batch, () => graph);
    const given: Record<string, Held> = { ...(await this.#feeds(span, batch)), x, dy };
    for (const { name: value } of parts.residuals)
      if (values[`saved.${value}`] !== undefined) given[value] = values[`saved.${value}`] as Held;
    const taken = graph.inputs.filter((input) => input.name in given);
    const { home, held } = await session.runHolding(
      Object.fromEntries(taken.map((input) => [input.name, given[input.name] as Held])),
    );
    if (residuals !== undefined) this.#poolOf(name).release(residuals);
    for (const done of [...Object.values(values), x, dy]) this.#engine.free(done);
    const dx = held['d.x'];
    const found = floatsOf(home);
    if (wanted.maps) return { ...(dx && { dx }), weights: new Map(), sums: found };
    const weights = new Map<number, Weights>();
    for (const [i, position] of span.entries()) {
      const slots = this.#graphs.slots(position, wanted);
      const own = slots.map((slot) => [slot, found[`d.${weightName(span, i, slot)}`] as Float32Array]);
      if (own.length > 0) weights.set(position, Object.fromEntries(own));
    }
    return { ...(dx && { dx }), weights };
  }

  /** Runs a program of the head over the targets' states. */
  async head<R>(x: States, targets: Targets, program: HeadProgram<R>): Promise<R> {
    return await this.#throughHead(this.#rowsOf(x, targets), targets, program);
  }

  /**
   * The targets' log-probabilities, and dL/dx where dL/d(log p) of each target is given.
   * @param head filled with the gradient of the head's weight, where that is asked for
   */
  async headBackward(
    x: States,
    targets: Targets,
    weights: Float32Array,
    head?: HeadGradient,
  ): Promise<{ scores: Float32Array; dx: States }> {
    const rows = this.#rowsOf(x, targets);
    const scores = await this.#throughHead(rows, targets, scoreGradient(weights, head));
    return { scores, dx: rows.dx ?? (await this.#zeros(x)) };
  }

  async #throughHead<R>(rows: HeadRows, targets: Targets, program: HeadProgram<R>): Promise<R> {
    const weights = await this.#placed.ofHead();
    const frozen = this.#placed.frozenOfHead();
    const run = program.begin({ architecture: this.config, targets });
    const most = statesAtOnce(this.config.vocabulary);
    for (let start = 0; start < targets.length; start += most) {
      const count = Math.min(most, targets.length - start);
      // Of each size a session would store the head's weights.
      const size = this.#engine.storesWeights ? most : Math.ceil(count / headStep) * headStep;
      const chunk = { start, count, size };
      const data = new BigInt64Array(size);
      for (let i = 0; i < count; i++) data[i] = BigInt(targets.at(start + i)!.token);
      const tokens: Tensor = { dtype: 'int64', shape: [size, 1], data };
      const session = await this.#engine.session(
        `${program.name} ${size}${rows.name}`,
        () => this.#headGraph(size, rows, program),
        frozen,
      );
      const feeds = { ...rows.feeds(chunk), tokens, ...weights, ...run.inputs?.(chunk) };
      const outputs = await session.runHolding(feeds, run.room);
      rows.take(outputs, chunk);
      run.take(outputs.home, chunk);
    }
    return run.result;
  }

  /** @param size states of a chunk, of which the last ones may be missing */
  #headGraph(size: number, rows: HeadRows, program: HeadProgram<unknown>): GraphBuilder {
    const g = new GraphBuilder();
    const h = rows.states(g, size);
    const tokens = g.input('tokens', 'int64', [size, 1]);
    const w = weightInputs(g, this.config.head);
    const values = { h, tokens, w, logits: this.config.buildHead(g, h, w) };
    program.build(g, values);
    const dh = program.differentiate?.(g, values);
    if (dh !== undefined) rows.gradient(g, dh);
    return g;
  }

  #rowsOf(x: States, targets: Targets): HeadRows {
    return this.#engine.hasDevice
      ? new RowsInPlace(x, targets, (held) => this.#engine.free(held))
      : new RowsByHost(x as Tensor, targets);
  }

  async #zeros({ shape }: States): Promise<States> {
    const zeros: Tensor = { dtype: 'float32', shape, data: new Float32Array(product(shape)) };
    return await this.#engine.hold(zeros);
  }

  #poolOf(name: string): ResidualPool {
    const pool = this.#residuals.get(name) ?? new ResidualPool();
    this.#residuals.set(name, pool);
    return pool;
  }

  // ---- what the graphs are given

  /** The session of a span's graph. */
  #session(graph: string, span: Span, batch: PackedBatch, build: () => GraphBuilder): Promise<Session> {
    return this.#engine.session(this.#graphs.key(graph, span, batch), build, this.#placed.frozenOf(span));
  }

  /** All inputs of a span's graph but the states, and but what its session has. */
  async #feeds(span: Span, batch: PackedBatch): Promise<Record<string, Held>> {
    const feeds: Record<string, Held> = {};
    for (const [i, kind] of this.#graphs.kinds(span).entries())
      for (const [name, tensor] of Object.entries(await this.#side(batch, kind)))
        feeds[sideName(i, name)] = tensor;
    Object.assign(feeds, await this.#placed.ofSpan(span));
    for (const [i, position] of span.entries())
      for (const [slot, mask] of Object.entries(this.#weights.masks?.(position, batch) ?? {}))
        feeds[weightName(span, i, slot)] = span.length === 1 ? mask : copyOf(mask);
    return feeds;
  }

  /** What blocks of a kind take beside states and weights. */
  async #side(batch: PackedBatch, kind: string): Promise<Record<string, Held>> {
    const kinds = this.#sides.get(batch) ?? new Map<string, Record<string, Held>>();
    this.#sides.set(batch, kinds);
    let side = kinds.get(kind);
    if (side === undefined) {
      side = { ...this.config.side(batch, kind) } as Record<string, Held>;
      if (this.#engine.hasDevice)
        for (const [name, tensor] of Object.entries(side))
          if (tensor.dtype === 'float32') side[name] = await this.#engine.hold(tensor as Tensor);
      kinds.set(kind, side);
    }
    return side;
  }
}

/** Of what is valid until the next call of who gave it. */
const copyOf = (tensor: Tensor): Tensor => ({ ...tensor, data: tensor.data.slice() });

const floatsOf = (tensors: Readonly<Record<string, Tensor>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));
