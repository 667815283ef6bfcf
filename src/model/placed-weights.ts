// Where a decoder's weights lie when its graphs run: those that train go there in each run, the others are kept where they can be.
import { badModel } from '../api/index.ts';
import { encodeFloats } from '../checkpoint/index.ts';
import type { Engine, Frozen, Held, Tensor } from '../engine/index.ts';
import { type Half, product } from '../graph/index.ts';
import { weightName } from './block-graphs.ts';
import type { Architecture, Slots } from './family.ts';
import type { Span } from './spans.ts';
import type { Site, WeightSource, Weights } from './weights.ts';

let decoders = 0;

const sizes = { float32: 4, float16: 2, bfloat16: 2 } as const;

/** Weights of one site, as inputs of a graph. */
interface Group {
  readonly site: Site | 'embedder';
  readonly slots: Slots;
  nameOf(slot: string): string;
  /** Valid until the next call. */
  read(): Weights;
}

/** The weights of one decoder, as its engine keeps them: matrices that stay as they are have the engine's precision. */
export class PlacedWeights {
  readonly #engine: Engine;
  readonly #source: WeightSource;
  readonly #architecture: Architecture;
  readonly #asRead: boolean;
  /** Of what is kept where graphs run. */
  readonly #name = `decoder ${decoders++}`;

  /** @param asRead whether a run is given all of its own as they are read, as the CPU's of one block at a time are */
  constructor(engine: Engine, architecture: Architecture, source: WeightSource, asRead: boolean) {
    this.#engine = engine;
    this.#architecture = architecture;
    this.#source = source;
    this.#asRead = asRead;
  }

  /** Bytes of a position's where graphs run. */
  bytesAt(position: number): number {
    return Object.values(this.#source.slots(position)).reduce(
      (sum, { shape }) => sum + product(shape) * sizes[this.#engine.keptAs(shape)],
      0,
    );
  }

  /** Which inputs of a span's graphs stay as they are. */
  frozenOf(span: Span): Frozen {
    return this.#frozen(String(span), this.#groupsOf(span));
  }

  /** Which of the head's graphs do. */
  frozenOfHead(): Frozen {
    return this.#frozen('head', [this.#headGroup()]);
  }

  /** What a run of a span's graph is given of weights. */
  async ofSpan(span: Span): Promise<Record<string, Held>> {
    const needed = new Set<string>();
    const feeds: Record<string, Held> = {};
    for (const group of this.#groupsOf(span)) Object.assign(feeds, await this.#given(group, needed));
    return feeds;
  }

  ofHead(): Promise<Record<string, Held>> {
    return this.#given(this.#headGroup());
  }

  ofEmbedder(slots: Slots): Promise<Record<string, Held>> {
    return this.#given({ site: 'embedder', slots, nameOf: inputName, read: () => this.#source.embedder() });
  }

  #groupsOf(span: Span): Group[] {
    return span.map((position, i) => ({
      site: position,
      slots: this.#source.slots(position),
      nameOf: (slot) => weightName(span, i, slot),
      read: () => this.#source.block(position),
    }));
  }

  #headGroup(): Group {
    const { head: slots } = this.#architecture;
    return { site: 'head', slots, nameOf: inputName, read: () => this.#source.head() };
  }

  #frozen(name: string, groups: readonly Group[]): Frozen {
    const named = groups.map((group) => {
      const changing = this.#changing(group);
      const slots = Object.keys(group.slots).filter((slot) => !(slot in changing));
      return { group, slots: slots.map((slot) => [slot, group.nameOf(slot)] as const) };
    });
    return {
      name: `${this.#name} ${name}`,
      inputs: new Set(named.flatMap(({ slots }) => slots.map(([, input]) => input))),
      read: (inputs) => {
        const found: Record<string, Tensor> = {};
        for (const { group, slots } of named) {
          const wanted = slots.filter(([, input]) => inputs.has(input));
          if (wanted.length === 0) continue;
          const weights = group.read();
          for (const [slot, input] of wanted) found[input] = copyOf(this.#kept(group, slot, weights));
        }
        return found;
      },
    };
  }

  #changing({ site }: Group): Weights {
    return (site !== 'embedder' && this.#source.changing?.(site)) || {};
  }

  /**
   * By input. Those that stay as they are are read once, and kept where graphs run as long as there is room; but for those that
   * sessions store, and for the CPU that runs one block at a time, which takes them as they are read.
   * @param needed the keys of all that one run takes
   */
  async #given(group: Group, needed = new Set<string>()): Promise<Record<string, Held>> {
    const all = Object.keys(group.slots);
    if (this.#asRead) {
      const weights = group.read();
      return Object.fromEntries(all.map((slot) => [group.nameOf(slot), tensorOf(group, slot, weights)]));
    }
    const { residence, storesWeights } = this.#engine;
    const changing = this.#changing(group);
    let stored: Weights | undefined;
    const found: Record<string, Held> = {};
    for (const slot of all) {
      const input = group.nameOf(slot);
      if (slot in changing) {
        found[input] = tensorOf(group, slot, changing);
        continue;
      }
      if (storesWeights) {
        // The embedder's are small, and its graph is run once a batch.
        if (group.site === 'embedder') found[input] = tensorOf(group, slot, group.read());
        continue;
      }
      const key = `${this.#name} ${group.site} ${slot}`;
      needed.add(key);
      const held = residence.get(key);
      stored ??= held ? undefined : group.read();
      found[input] = held ?? (await this.#keep(key, this.#kept(group, slot, stored!), needed));
    }
    return found;
  }

  /** A weight where it is kept, or a copy for one run. */
  async #keep(key: string, tensor: Tensor, needed: ReadonlySet<string>): Promise<Held> {
    return (await this.#engine.residence.keep(key, tensor, needed)) ?? copyOf(tensor);
  }

  /** A weight that stays as it is, in the type that it is kept in. */
  #kept(group: Group, slot: string, weights: Weights): Tensor {
    const tensor = tensorOf(group, slot, weights);
    if (group.site === 'embedder') return tensor;
    const dtype = this.#engine.keptAs(tensor.shape);
    return dtype === 'float32' ? tensor : halved(tensor, dtype, group.slots[slot]!.name);
  }
}

const inputName = (slot: string) => `w.${slot}`;

const tensorOf = ({ slots }: Group, slot: string, weights: Weights): Tensor & { data: Float32Array } => ({
  dtype: 'float32',
  shape: slots[slot]!.shape,
  data: weights[slot]!,
});

/**
 * Rounded to nearest, ties to even: a checkpoint's own halves of that type are the same bits again.
 * @throws OffsiteError BadModel where one is beyond what the type reaches
 */
function halved({ shape, data }: Tensor & { data: Float32Array }, dtype: Half, name: string): Tensor {
  const { buffer } = encodeFloats(data, dtype === 'float16' ? 'F16' : 'BF16');
  const bits = new Uint16Array(buffer);
  const infinity = dtype === 'float16' ? 0x7c00 : 0x7f80;
  if (bits.some((value) => (value & 0x7fff) === infinity))
    throw badModel(
      `spec.engine.precision: ${dtype} does not reach as far as a number of tensor ${name}; bfloat16 and float32 do`,
    );
  return { dtype, shape, data: bits };
}

/** Of what is valid until the next call of who gave it. */
const copyOf = (tensor: Tensor): Tensor => ({ ...tensor, data: tensor.data.slice() });
