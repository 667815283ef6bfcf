// Forward and backward passes of a decoder-only model, one block at a time.
import { badSpec } from '../api/index.ts';
import type { PackedBatch, Target } from '../data/index.ts';
import type { Engine, Tensor } from '../engine/index.ts';
import { type Differentiated, GraphBuilder, type Split, split, type Value } from '../graph/index.ts';
import type { Architecture, Slots } from './family.ts';
import { type HeadProgram, headStep, statesAtOnce } from './head.ts';
import { addInputSums, gradientSums, mapInputs, mapSites } from './map-sums.ts';
import { ResidualPool, type Residuals } from './residuals.ts';
import type { WeightSource, Weights } from './weights.ts';

/** Which gradients of a block are asked for: dL/dx unless `input` is false, those of its weights, all or those of some slots. */
export interface Wanted {
  weights: boolean | readonly string[];
  input?: boolean;
  /** Asks for the sums of `gradientSums` and for no single weight's gradient. */
  maps?: true;
}

/** Sums over a batch's tokens that are no padding, by name. */
export type Sums = Readonly<Record<string, Float32Array>>;

/** What a block's forward keeps for its backward; `backward` takes it, and its memory is used again. */
export interface Saved {
  readonly wanted: Wanted;
  readonly residuals: Residuals;
  readonly x: Tensor;
}

export interface BlockGradients {
  /** dL/dx, [B, T, D]; empty where it was not asked for. */
  dx: Float32Array;
  /** dL/dw by slot, when asked for. */
  weights?: Weights;
  /** Of the linear maps' gradients, when asked for. */
  sums?: Sums;
}

/**
 * Runs a decoder over packed batches, position by position: full model and emulator alike, by the weight source.
 * Hidden states are [B*T*D] float32, row-major.
 */
export class Decoder {
  readonly config: Architecture;
  readonly depth: number;
  readonly #engine: Engine;
  readonly #weights: WeightSource;
  readonly #sides = new WeakMap<PackedBatch, Map<string, Record<string, Tensor>>>();
  readonly #splits = new Map<string, Split>();
  readonly #residuals = new Map<string, ResidualPool>();

  constructor(engine: Engine, architecture: Architecture, weights: WeightSource) {
    this.#engine = engine;
    this.config = architecture;
    this.#weights = weights;
    this.depth = weights.depth;
  }

  /** The states before the first block. @throws OffsiteError BadSpec where a row is longer than the model's positions reach */
  async embed(batch: PackedBatch): Promise<Float32Array> {
    const { positions = Number.POSITIVE_INFINITY } = this.config;
    const longest = batch.positions.reduce((most, position) => Math.max(most, position + 1), 0);
    if (longest > positions)
      throw badSpec(
        `maxLength: a row has more tokens than the ${positions} that the model has positions for`,
      );
    const rows = this.#weights.embed(batch.ids);
    const { embedder, embedding } = this.config;
    if (embedder === undefined) return rows;
    const { size, length } = batch;
    const shape = [size, length, embedding.shape[1] as number];
    const session = await this.#engine.session(this.#key('embed', batch), () => {
      const g = new GraphBuilder();
      const positions = g.input('positions', 'int64', [size, length]);
      const x = g.input('rows', 'float32', shape);
      g.output('x', embedder.build(g, x, positions, weightInputs(g, embedder.slots)));
      return g;
    });
    const outputs = await session.run({
      positions: { dtype: 'int64', shape: [size, length], data: BigInt64Array.from(batch.positions, BigInt) },
      rows: { dtype: 'float32', shape, data: rows },
      ...weightFeeds(embedder.slots, this.#weights.embedder()),
    });
    return outputs['x']?.data as Float32Array;
  }

  /** One block. */
  async forward(position: number, x: Float32Array, batch: PackedBatch): Promise<{ y: Float32Array }> {
    const session = await this.#engine.session(this.#keyAt('forward', position, batch), () => {
      const g = new GraphBuilder();
      g.output('y', this.#block(g, position, batch).y);
      return g;
    });
    const outputs = await session.run(this.#feeds(position, x, batch));
    return { y: outputs['y']?.data as Float32Array };
  }

  /** One block, with what `addInputSums` finds of its linear maps' inputs. */
  async forwardObserving(
    position: number,
    x: Float32Array,
    batch: PackedBatch,
  ): Promise<{ y: Float32Array; sums: Sums }> {
    const tokens = batch.size * batch.length;
    const session = await this.#engine.session(this.#keyAt('observing inputs', position, batch), () => {
      const g = new GraphBuilder();
      g.output('y', this.#block(g, position, batch).y);
      addInputSums(g, this.#weights.slots(position), g.input('counted', 'float32', [tokens, 1]));
      return g;
    });
    const counted = Float32Array.from(batch.rows, (row) => Number(row >= 0));
    const { y, ...sums } = floatsOf(
      await session.run({
        ...this.#feeds(position, x, batch),
        counted: { dtype: 'float32', shape: [tokens, 1], data: counted },
      }),
    );
    return { y: y as Float32Array, sums };
  }

  /** How wide each input of a block's linear maps is; maps that are given the same have one. */
  inputWidths(position: number, batch: PackedBatch): number[] {
    const g = new GraphBuilder();
    this.#block(g, position, batch);
    return mapInputs(g, this.#weights.slots(position)).map(({ input }) => input.shape.at(-1) as number);
  }

  /** One block, keeping what `backward` needs for the wanted gradients. */
  async forwardSaving(
    position: number,
    x: Float32Array,
    batch: PackedBatch,
    wanted: Wanted,
  ): Promise<{ y: Float32Array; saved: Saved }> {
    const parts = this.#split(position, batch, wanted);
    const session = await this.#engine.session(
      this.#keyAt(`saving for ${nameOf(wanted)}`, position, batch),
      () => parts.forward,
    );
    const residuals = this.#poolOf(wanted).take(parts.residuals);
    const { y } = await session.run(this.#feeds(position, x, batch), residuals.tensors);
    return { y: y?.data as Float32Array, saved: { wanted, residuals, x: this.#state(x, batch) } };
  }

  /** The gradients of one block from dL/dy and what `forwardSaving` kept, whose memory is then free again. */
  async backward(
    position: number,
    dy: Float32Array,
    { wanted, residuals, x }: Saved,
    batch: PackedBatch,
  ): Promise<BlockGradients> {
    const parts = this.#split(position, batch, wanted);
    const key = this.#keyAt(nameOf(wanted), position, batch);
    const session = await this.#engine.session(key, () => parts.backward);
    const given: Record<string, Tensor> = {
      ...this.#feeds(position, dy, batch),
      x,
      dy: this.#state(dy, batch),
    };
    for (const { name } of parts.residuals) given[name] = residuals.tensors[`saved.${name}`] as Tensor;
    const feeds = Object.fromEntries(
      [...parts.reread, ...parts.residuals.map(({ name }) => name), 'dy'].map((name) => [
        name,
        given[name] as Tensor,
      ]),
    );
    const outputs = floatsOf(await session.run(feeds));
    this.#poolOf(wanted).release(residuals);
    const { 'd.x': dx = new Float32Array(), ...others } = outputs;
    if (wanted.maps) return { dx, sums: others };
    const slots = this.#slots(position, wanted);
    if (slots.length === 0) return { dx };
    const gradientOf = (slot: string) => others[`d.w.${slot}`] as Float32Array;
    return { dx, weights: Object.fromEntries(slots.map((slot) => [slot, gradientOf(slot)])) };
  }

  /** Runs a program of the head over the targets' states. */
  async head<R>(x: Float32Array, targets: readonly Target[], program: HeadProgram<R>): Promise<R> {
    const width = this.config.hidden;
    const weights = weightFeeds(this.config.head, this.#weights.head());
    const run = program.begin({ architecture: this.config, x, targets });
    const most = statesAtOnce(this.config.vocabulary);
    for (let start = 0; start < targets.length; start += most) {
      const count = Math.min(most, targets.length - start);
      const size = Math.ceil(count / headStep) * headStep;
      const h = new Float32Array(size * width);
      const tokens = new BigInt64Array(size);
      for (let i = 0; i < count; i++) {
        const { from, token } = targets[start + i] as Target;
        h.set(x.subarray(from * width, (from + 1) * width), i * width);
        tokens[i] = BigInt(token);
      }
      const feeds: Record<string, Tensor> = {
        h: { dtype: 'float32', shape: [size, width], data: h },
        tokens: { dtype: 'int64', shape: [size, 1], data: tokens },
        ...weights,
      };
      const chunk = { start, count, size };
      const session = await this.#engine.session(`${program.name} ${size}`, () =>
        this.#headGraph(size, program),
      );
      run.take(await session.run({ ...feeds, ...run.inputs?.(chunk) }, run.room ?? {}), chunk);
    }
    return run.result;
  }

  // ---- graphs

  /** A block's inputs and output; all positions of equal slots share the graph. */
  #block(
    g: GraphBuilder,
    position: number,
    batch: PackedBatch,
  ): { y: Value; x: Value; weights: Record<string, Value> } {
    const x = g.input('x', 'float32', [batch.size, batch.length, this.config.hidden]);
    const side = Object.fromEntries(
      Object.entries(this.#side(batch, 0)).map(([name, { dtype, shape }]) => [
        name,
        g.input(name, dtype, shape),
      ]),
    );
    const masks = Object.entries(this.#weights.masks?.(position, batch) ?? {});
    const weights = {
      ...weightInputs(g, this.#weights.slots(position)),
      ...Object.fromEntries(
        masks.map(([slot, { dtype, shape }]) => [slot, g.input(`w.${slot}`, dtype, shape)]),
      ),
    };
    return { y: this.config.buildBlock({ g, side, w: weights }, x), x, weights };
  }

  #split(position: number, batch: PackedBatch, wanted: Wanted): Split {
    const key = this.#keyAt(nameOf(wanted), position, batch);
    let parts = this.#splits.get(key);
    if (parts === undefined) {
      parts = split((g) => {
        const { y, x, weights } = this.#block(g, position, batch);
        const input = wanted.input === false ? [] : [x];
        if (wanted.maps) return this.#mapGradients(g, position, { y, input, weights });
        const asked = this.#slots(position, wanted).map((slot) => weights[slot] as Value);
        return { y, wrt: [...input, ...asked] };
      });
      this.#splits.set(key, parts);
    }
    return parts;
  }

  #mapGradients(
    g: GraphBuilder,
    position: number,
    { y, input, weights }: { y: Value; input: readonly Value[]; weights: Readonly<Record<string, Value>> },
  ): Differentiated {
    const slots = this.#weights.slots(position);
    const sites = mapSites(g, slots);
    return {
      y,
      wrt: [...sites.flatMap(({ slot, output }) => [weights[slot] as Value, output]), ...input],
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

  /** The slots whose gradients are asked for. */
  #slots(position: number, { weights }: Wanted): readonly string[] {
    if (typeof weights !== 'boolean') return weights;
    return weights ? Object.keys(this.#weights.slots(position)) : [];
  }

  #poolOf(wanted: Wanted): ResidualPool {
    const name = nameOf(wanted);
    const pool = this.#residuals.get(name) ?? new ResidualPool();
    this.#residuals.set(name, pool);
    return pool;
  }

  /** @param size states of a chunk, of which the last ones may be missing */
  #headGraph(size: number, { build }: HeadProgram<unknown>): GraphBuilder {
    const g = new GraphBuilder();
    const h = g.input('h', 'float32', [size, this.config.hidden]);
    const tokens = g.input('tokens', 'int64', [size, 1]);
    const w = weightInputs(g, this.config.head);
    build(g, { h, tokens, w, logits: this.config.buildHead(g, h, w) });
    return g;
  }

  // ---- what the graphs are given

  #feeds(position: number, x: Float32Array, batch: PackedBatch): Record<string, Tensor> {
    const layer = this.#weights.layer(position);
    return {
      x: this.#state(x, batch),
      ...this.#side(batch, layer),
      ...weightFeeds(this.#weights.slots(position), this.#weights.block(position)),
      ...prefixed(this.#weights.masks?.(position, batch) ?? {}),
    };
  }

  #state(x: Float32Array, { size, length }: PackedBatch): Tensor {
    return { dtype: 'float32', shape: [size, length, this.config.hidden], data: x };
  }

  #side(batch: PackedBatch, layer: number): Record<string, Tensor> {
    const kind = this.config.kind?.(layer) ?? '';
    const kinds = this.#sides.get(batch) ?? new Map<string, Record<string, Tensor>>();
    this.#sides.set(batch, kinds);
    const side = kinds.get(kind) ?? this.config.side(batch, kind);
    kinds.set(kind, side);
    return side;
  }

  #key(graph: string, { size, length }: PackedBatch): string {
    return `${graph} ${size}x${length}`;
  }

  /** Of a block's graph: other slots, or other shapes of them, make another one, and so do masks. */
  #keyAt(graph: string, position: number, batch: PackedBatch): string {
    const slots = Object.entries(this.#weights.slots(position));
    const masked = this.#weights.masked?.(position) ? ['masked'] : [];
    return [this.#key(graph, batch), ...slots.map(([slot, { shape }]) => `${slot} ${shape}`), ...masked].join(
      ', ',
    );
  }
}

function weightInputs(g: GraphBuilder, slots: Slots): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, { shape }]) => [slot, g.input(`w.${slot}`, 'float32', shape)]),
  );
}

function weightFeeds(slots: Slots, weights: Weights): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, { shape }]) => [
      `w.${slot}`,
      { dtype: 'float32' as const, shape, data: weights[slot] as Float32Array },
    ]),
  );
}

const floatsOf = (tensors: Readonly<Record<string, Tensor>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data as Float32Array]));

const prefixed = (inputs: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(Object.entries(inputs).map(([slot, tensor]) => [`w.${slot}`, tensor]));

const nameOf = ({ weights, input = true, maps }: Wanted) =>
  `gradients of ${[
    ...(input ? ['input'] : []),
    ...(maps ? ['maps'] : []),
    ...(weights === true ? ['weights'] : weights || []),
  ].join(' and ')}`;
