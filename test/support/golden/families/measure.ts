import { type PackedBatch, pack } from '../../../../src/data/index.ts';
import type { Engine, Tensor } from '../../../../src/engine/index.ts';
import { GraphBuilder, gradients, type Value } from '../../../../src/graph/index.ts';
import { logits } from '../../../../src/model/head.ts';
import {
  Decoder,
  type DecoderOptions,
  headGradient,
  type Model,
  type Saved,
  type Slots,
  type Span,
  type States,
  weightsOf,
} from '../../../../src/model/index.ts';
import { crossEntropy } from '../../../../src/training/objective.ts';
import { describedDifference, relative } from './compare.ts';
import { type Fixture, unpacked } from './fixture.ts';

/** The largest differences from transformers, relative to the root mean square of what is compared. */
export interface Parity {
  logits: number;
  loss: number;
  /** Over the gradients of every weight, and of the states before the first block. */
  gradients: number;
}

export const memory = 2 ** 30;

/** Both rows in one packed sequence, or in one each: transformers computed them apart. */
export function batchOf({ rows }: Pick<Fixture, 'rows'>, sequences: 1 | 2 = 1): PackedBatch {
  const examples = rows.map((trunk, row) => ({ row, trunk, branches: [], bytes: [] }));
  return pack(examples, { capacity: 32 / sequences, batch: sequences })[0]!;
}

/** Flat indices of the rows' tokens, row after row; the last `count` of each. */
export function tokensOf(
  { rows }: Pick<Fixture, 'rows'>,
  batch: PackedBatch,
  count = Number.POSITIVE_INFINITY,
): number[] {
  return rows.flatMap((tokens, row) => {
    const first = batch.rows.indexOf(row);
    return tokens.map((_, t) => first + t).slice(-Math.min(count, tokens.length));
  });
}

/** The logits of some states, by their flat indices. */
export function logitsAt(decoder: Decoder, x: States, indices: readonly number[]): Promise<Float32Array> {
  const targets = indices.map((from) => ({ from, token: 0, row: 0, branch: 0 }));
  return decoder.head(x, targets, logits);
}

export async function measure(
  engine: Engine,
  model: Model,
  fixture: Fixture,
  options: DecoderOptions = {},
): Promise<Parity> {
  const { full } = fixture;
  const batch = batchOf(fixture);
  const tokens = tokensOf(fixture, batch);
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory }), options);
  const saved: { span: Span; saved: Saved }[] = [];
  let x = await decoder.embed(batch);
  for (const span of decoder.spans()) {
    const step = await decoder.forwardSaving(span, x, batch, { weights: true });
    saved.push({ span, saved: step.saved });
    x = step.y;
  }
  const logits = relative(await logitsAt(decoder, x, tokens), unpacked(full.logits));
  const { head } = model.architecture.head;
  const ofHead = headGradient(head!.shape.reduce((a, b) => a * b, 1));
  const count = batch.targets.length;
  const weights = crossEntropy.weigh(batch.targets, { tokens: count });
  const { scores, dx } = await decoder.headBackward(x, batch.targets, weights, ofHead);
  const loss = crossEntropy.loss(scores, { tokens: count });

  const found = new Map(await headGradients(engine, model, await decoder.read(x), batch));
  found.set(head!.name, ofHead.sum);
  let gradient = dx;
  for (const { span, saved: held } of saved.toReversed()) {
    const back = await decoder.backward(span, gradient, held, batch);
    for (const [position, weights] of back.weights)
      for (const [slot, { name }] of Object.entries(model.architecture.block(position)))
        found.set(name, weights[slot]!);
    gradient = back.dx!;
  }
  const dy = await decoder.read(gradient);
  const width = model.architecture.hidden;
  const stateGradient = Float32Array.from(
    tokens.flatMap((at) => [...dy.subarray(at * width, (at + 1) * width)]),
  );
  addInto(found, await embeddingGradients(engine, model, dy, batch));
  const names = Object.keys(full.gradients);
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0 || found.size !== names.length)
    throw new Error(`gradients of ${[...found.keys()]} were computed, those of ${names} expected`);
  const strongest = Math.max(
    ...names.map((name) => full.gradients[name]!.norm / Math.sqrt(found.get(name)!.length)),
  );
  return {
    logits,
    loss: Math.abs(loss - full.loss) / full.loss,
    gradients: Math.max(
      describedDifference(stateGradient, full.stateGradient),
      ...names.map((name) =>
        describedDifference(found.get(name)!, full.gradients[name]!, { least: strongest / 100 }),
      ),
    ),
  };
}

/** The gradients of final norm and head: by the same graph and rules, also of what no stage trains. */
async function headGradients(
  engine: Engine,
  { architecture, read }: Model,
  x: Float32Array,
  { targets }: PackedBatch,
): Promise<[string, Float32Array][]> {
  const { hidden, head } = architecture;
  const count = targets.length;
  const g = new GraphBuilder();
  const h = g.input('h', 'float32', [count, hidden]);
  const w = inputsOf(g, head);
  const logits = architecture.buildHead(g, h, w);
  const token = g.input('token', 'int64', [count]);
  const gradient = g.mul(
    g.sub(g.softmax(logits), g.oneHot(token, architecture.vocabulary)),
    g.scalar(1 / count),
  );
  const slots = Object.keys(head);
  gradients(
    g,
    [{ value: logits, gradient }],
    slots.map((slot) => w[slot]!),
  ).forEach((value, i) => {
    g.output(slots[i]!, value);
  });
  const states = new Float32Array(count * hidden);
  targets.forEach(({ from }, i) => {
    states.set(x.subarray(from * hidden, (from + 1) * hidden), i * hidden);
  });
  const session = await engine.session(`head gradients ${JSON.stringify(architecture.head)}`, () => g);
  const outputs = await session.run({
    h: { dtype: 'float32', shape: [count, hidden], data: states },
    token: {
      dtype: 'int64',
      shape: [count],
      data: BigInt64Array.from(targets, ({ token: id }) => BigInt(id)),
    },
    ...feedsOf(head, read),
  });
  return slots.map((slot) => [head[slot]!.name, outputs[slot]!.data as Float32Array]);
}

/** The gradients of the token table and of what lies behind it, from that of the states before the first block. */
async function embeddingGradients(
  engine: Engine,
  { architecture, read }: Model,
  dy: Float32Array,
  { size, length, ids, rows, positions }: PackedBatch,
): Promise<[string, Float32Array][]> {
  const { embedding, embedder, hidden } = architecture;
  const [vocabulary, width] = embedding.shape as [number, number];
  const live = dy.map((value, i) => (rows[Math.floor(i / hidden)]! < 0 ? 0 : value));
  const found: [string, Float32Array][] = [];
  let drows = live;
  if (embedder !== undefined) {
    const g = new GraphBuilder();
    const w = inputsOf(g, embedder.slots);
    const table = g.input('table', 'float32', [vocabulary, width]);
    const x = g.gather(table, g.input('ids', 'int64', [size, length]), 0);
    const states = embedder.build(g, x, g.input('positions', 'int64', [size, length]), w);
    const gradient = g.input('dy', 'float32', [size, length, hidden]);
    const slots = Object.keys(embedder.slots);
    const wrt = [x, ...slots.map((slot) => w[slot]!)];
    gradients(g, [{ value: states, gradient }], wrt).forEach((d, i) => {
      g.output(`d.${i}`, d);
    });
    const whole = (data: Int32Array) => ({
      dtype: 'int64' as const,
      shape: [size, length],
      data: BigInt64Array.from(data, BigInt),
    });
    const session = await engine.session('embedder gradients', () => g);
    const outputs = await session.run({
      ids: whole(ids),
      positions: whole(positions),
      table: { dtype: 'float32', shape: [vocabulary, width], data: read(embedding.name) },
      dy: { dtype: 'float32', shape: [size, length, hidden], data: live },
      ...feedsOf(embedder.slots, read),
    });
    drows = outputs['d.0']!.data as typeof live;
    slots.forEach((slot, i) => {
      found.push([embedder.slots[slot]!.name, outputs[`d.${i + 1}`]!.data as Float32Array]);
    });
  }
  const table = new Float32Array(vocabulary * width);
  ids.forEach((id, at) => {
    for (let d = 0; d < width; d++) table[id * width + d]! += drows[at * width + d]!;
  });
  return [[embedding.name, table], ...found];
}

function inputsOf(g: GraphBuilder, slots: Slots): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, { shape }]) => [slot, g.input(`w.${slot}`, 'float32', shape)]),
  );
}

function feedsOf(slots: Slots, read: Model['read']): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(slots).map(([slot, { name, shape }]) => [
      `w.${slot}`,
      { dtype: 'float32' as const, shape, data: read(name) },
    ]),
  );
}

/** A tensor that is used twice (a tied head) has the sum. */
function addInto(sums: Map<string, Float32Array>, more: readonly [string, Float32Array][]): void {
  for (const [name, values] of more) {
    const earlier = sums.get(name);
    sums.set(name, earlier === undefined ? values : values.map((value, i) => value + earlier[i]!));
  }
}
