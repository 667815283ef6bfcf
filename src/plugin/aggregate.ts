// Several adapters made one: written as tensors, opened again as an adapter, and what was found of each party.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Aggregate,
  type Aggregation,
  badModel,
  type LayerVerdict,
  mostLayersInStatus,
  type PartyVerdict,
} from '../api/index.ts';
import { CheckedFiles, canonicalJson, clearAt, type Written } from '../artifact/index.ts';
import { encodeFloats, type TensorToWrite, writeSafetensors } from '../checkpoint/index.ts';
import { type Bundle, trainedLayers } from '../emulator/index.ts';
import type { Model } from '../model/index.ts';
import { formOf, linearModules, loraOptionsOf } from '../tuning/index.ts';
import { type Adapter, openTensors, type PluggableAdapter } from './adapter.ts';
import { Aggregating, methodOf, type PartyFound, type PlaceFound, truncate } from './aggregation/index.ts';
import type { Origin } from './origin.ts';
import { type ChangedWeight, type PartyChanges, partyChanges, sizeOf } from './party-changes.ts';

/** One of several adapters, and how much the model owner lets it count. */
export interface Party {
  readonly adapter: Adapter;
  /** Names its directory in errors. */
  readonly directory: string;
  /** As the spec writes it. */
  readonly weight: string;
  readonly signer?: string | undefined;
}

export interface AggregateOptions {
  readonly model: Model;
  readonly bundle: Pick<Bundle, 'plan' | 'layout'>;
  readonly aggregation: Aggregation;
  /** Whether it is to be an adapter of the parties' own type; else LoRA's may stay the weights that they come to. */
  readonly asAdapter: boolean;
  /** A directory of its own, which is emptied. */
  readonly directory: string;
  /** Called before each piece, to stop by throwing or to count. */
  readonly beforeEach: (elements: number) => void;
}

/** All that was found, as the manifest has it: the verdicts of all layers. */
export interface Aggregated {
  readonly adapter: PluggableAdapter;
  /** Copies its tensors' file to where nothing is. */
  copy(to: string): Written;
  readonly aggregate: Aggregate;
  readonly parties: readonly PartyVerdict[];
  close(): void;
}

/**
 * Makes one adapter of several by the method that the spec names, on the changes that they make to the full model. Memory is
 * that of a tensor and of a piece of it for each party.
 * @param parties in an order that does not hang on the spec's: sums are in that order
 * @throws OffsiteError BadModel where what comes of them is no change that could be plugged in
 */
export function aggregateAdapters(parties: readonly Party[], options: AggregateOptions): Aggregated {
  const { model, bundle, aggregation, directory } = options;
  const changes = partyChanges(
    parties.map(({ adapter, weight }) => ({ adapter, weight: Number(weight) })),
    model,
    options.beforeEach,
  );
  const aggregating = new Aggregating(changes, methodOf(aggregation, changes));
  const { type } = parties[0]!.adapter;
  const asFactors = type.type === 'lora' && (options.asAdapter || bundle.plan.transferLayers.length === 0);
  const file = join(directory, 'aggregate.safetensors');
  const energy = { kept: 0, whole: 0 };
  clearAt(directory);
  mkdirSync(directory, { recursive: true });
  const made = new MadeWeights(changes, aggregating, model);
  writeSafetensors(
    file,
    changes.weightsChanged.flatMap((weight, tensor) =>
      asFactors && weight.change.factors !== undefined
        ? factorsToWrite(weight, () => made.change(tensor), energy)
        : [wholeToWrite(weight, asFactors, () => made.weight(tensor))],
    ),
  );
  const files = new CheckedFiles();
  files.digest(file);
  const adapter = openTensors(ofSeveral(parties, changes, aggregating), file, {
    ...{ type, model, bundle, files },
    dense: type.type === 'lora' && !asFactors,
  });
  const close = () => {
    adapter.close();
    clearAt(directory);
  };
  return {
    adapter,
    copy: (to) => files.copy(file, to),
    aggregate: {
      method: aggregation.method,
      norm: figure(aggregating.norm),
      ...(asFactors && {
        rank: loraOptionsOf(type).rank,
        keptEnergy: (energy.whole === 0 ? 1 : energy.kept / energy.whole).toFixed(6),
      }),
    },
    parties: aggregating.found().map((found, i) => verdictOf(parties[i]!, found, changes.layers)),
    close,
  };
}

/** Each adapter has passed the checks that what came of them does not. */
function ofSeveral(
  parties: readonly Party[],
  { weightsChanged }: PartyChanges,
  aggregating: Aggregating,
): Origin {
  return {
    name: 'spec.aggregation: what came of the adapters',
    remedy(name) {
      // One who changes nothing but this weight may change less in all than any other.
      const tensor = weightsChanged.findIndex(({ change }) => change.name === name);
      const norms = tensor < 0 ? aggregating.norms : aggregating.normsOf(tensor);
      const sizes = norms.map((norm, i) => norm * Number(parties[i]!.weight));
      const most = sizes.indexOf(Math.max(...sizes));
      const { directory, weight } = parties[most]!;
      return `let them count less (weight, or scale), first of all ${directory}, whose change ${tensor < 0 ? 'in all' : 'of this weight'} is the largest by norm and weight: its norm is ${figure(norms[most]!)}, its weight ${weight}`;
    },
  };
}

/** Weights one by one, each asked for once, from the pieces that come of all parties. */
class MadeWeights {
  readonly #changes: PartyChanges;
  readonly #aggregating: Aggregating;
  readonly #model: Model;

  constructor(changes: PartyChanges, aggregating: Aggregating, model: Model) {
    this.#changes = changes;
    this.#aggregating = aggregating;
    this.#model = model;
  }

  change(tensor: number): Float32Array {
    return this.#merged(tensor, () => undefined);
  }

  /** The full model's weight with the change, rounded once. */
  weight(tensor: number): Float32Array {
    const { base, shape } = this.#changes.weightsChanged[tensor]!;
    const columns = sizeOf(shape.slice(1));
    return this.#merged(tensor, (from, size) =>
      base === undefined
        ? undefined
        : this.#model.read(base, { rows: [from / columns, (from + size) / columns] }),
    );
  }

  #merged(tensor: number, baseOf: (from: number, size: number) => Float32Array | undefined): Float32Array {
    const values = new Float32Array(sizeOf(this.#changes.weightsChanged[tensor]!.shape));
    for (const piece of this.#changes.piecesOf(tensor)) {
      const merged = new Float64Array(piece.changes[0]!.length);
      this.#aggregating.merge(piece, merged);
      const base = baseOf(piece.from, merged.length);
      if (base !== undefined) for (let i = 0; i < merged.length; i++) merged[i]! += base[i]!;
      values.set(merged, piece.from);
    }
    return values;
  }
}

function wholeToWrite(
  { change, shape }: ChangedWeight,
  asWritten: boolean,
  values: () => Float32Array,
): TensorToWrite {
  const name = change.factors === undefined && asWritten ? change.tensors[0]!.name : change.name;
  return { name, shape, dtype: 'F32', bytes: () => encodeFloats(values(), 'F32') };
}

/** The nearest factors of a change, one tensor after the other of one decomposition. */
function factorsToWrite(
  { change: { factors, tensors }, shape }: ChangedWeight,
  values: () => Float32Array,
  energy: { kept: number; whole: number },
): TensorToWrite[] {
  const [rows, columns] = shape as [number, number];
  const { rank, scale, tensors: tensorsOf } = factors!;
  let made: Float32Array[] | undefined;
  const make = () => {
    const { left, right, kept, whole } = truncate(values(), rows, columns, rank);
    energy.kept += kept;
    energy.whole += whole;
    const root = Math.sqrt(scale);
    const scaled = (factor: Float32Array) => factor.map((value) => value / root);
    return tensorsOf(scaled(left), scaled(right));
  };
  return tensors.map(({ name, shape }, i) => ({
    name,
    shape,
    dtype: 'F32',
    bytes() {
      made ??= make();
      return encodeFloats(made[i]!, 'F32');
    },
  }));
}

function verdictOf(
  { adapter, weight, signer }: Party,
  { norm, distance, places }: PartyFound,
  layers: readonly (number | undefined)[],
): PartyVerdict {
  const verdicts = places.map((place, i) => layerVerdict(place, layers[i]));
  const leftOut = verdicts.filter(({ taken }) => !taken).length;
  return {
    digest: adapter.digest,
    ...(signer !== undefined && { signer }),
    weight,
    norm: figure(norm),
    distance: figure(distance),
    taken: verdicts.length - leftOut,
    leftOut,
    layers: verdicts,
  };
}

const layerVerdict = (
  { taken, reason, norm, distance, share }: PlaceFound,
  layer: number | undefined,
): LayerVerdict => ({
  ...(layer !== undefined && { layer }),
  taken,
  ...(reason !== undefined && { reason: reason.slice(0, 256) }),
  norm: figure(norm),
  distance: figure(distance),
  ...(share !== undefined && { share: share.toFixed(4) }),
});

/** Characters of a status' parties: a result travels in one message of at most 256 KiB, with cells, gates and analyses. */
const mostInStatus = 200 * 1024;

/**
 * As a status has them: each by the name that the spec has for it, which no manifest tells, with as many layers as all have
 * room for, those left out first.
 * @param names by digest
 */
export function inStatus(
  parties: readonly PartyVerdict[],
  names: ReadonlyMap<string, string>,
): PartyVerdict[] {
  const of = (most: number) =>
    parties.map(({ digest, ...party }) => ({
      ...{ digest, adapter: names.get(digest) },
      ...party,
      layers: party.layers.toSorted((a, b) => Number(a.taken) - Number(b.taken)).slice(0, most),
    }));
  let most = Math.floor(mostLayersInStatus / Math.max(1, parties.length));
  let shown = of(most);
  while (most > 0 && JSON.stringify(shown).length > mostInStatus) shown = of(--most);
  return shown;
}

const figure = (value: number): string => String(Number(value.toPrecision(6)));

/**
 * All adapters must be of one type, and each its own: one that is there twice would count twice.
 * @throws OffsiteError BadModel naming the two
 */
export function checkParties(
  parties: readonly Party[],
  { model, bundle }: { model: Model; bundle: Pick<Bundle, 'plan'> },
): void {
  const [first] = parties as [Party, ...Party[]];
  const modules = linearModules(model.architecture, trainedLayers(bundle.plan));
  const form = ({ adapter }: Party) => canonicalJson(formOf(adapter.type, modules));
  const wanted = form(first);
  const seen = new Map<string, string>();
  for (const party of parties) {
    const { adapter, directory } = party;
    for (const digest of [adapter.digest, adapter.tensorsDigest]) {
      const other = seen.get(digest);
      if (other !== undefined && other !== directory)
        throw badModel(
          `spec.adapters: ${directory} and ${other} hold the same tensors; each party sends an adapter of its own. One of them was sent a second time, and no file tells which: ask who signed which first, and leave the copy out`,
        );
      if (other === directory)
        throw badModel(`spec.adapters: ${directory} is named twice; each adapter counts once`);
    }
    seen.set(adapter.digest, directory).set(adapter.tensorsDigest, directory);
    if (form(party) !== wanted)
      throw badModel(
        `spec.adapters: ${directory} is an adapter of ${form(party)}, ${first.directory} one of ${wanted}; all must be of one type`,
      );
  }
}
