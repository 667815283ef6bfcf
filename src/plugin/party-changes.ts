// What several adapters change in the full model, as the methods of aggregation read it: dense, in pieces of a tensor's rows.
import type { Model } from '../model/index.ts';
import { productRows } from '../tuning/index.ts';
import type { PlacedChange, PluggableAdapter } from './adapter.ts';
import type { Changes, Piece } from './aggregation/index.ts';
import { storedFor } from './merge.ts';

/** Bytes of the pieces of all parties together. */
const bytesAtOnce = 32 << 20;

/** One weight that the adapters change, or insert. */
export interface ChangedWeight extends PlacedChange {
  readonly place: number;
  readonly shape: readonly number[];
  /** The full model's tensor in whose place it stands; none for an inserted weight. */
  readonly base: string | undefined;
}

export interface PartyChanges extends Changes {
  readonly weightsChanged: readonly ChangedWeight[];
  /** The layer at each place, undefined for the head. */
  readonly layers: readonly (number | undefined)[];
  piecesOf(tensor: number): Iterable<Piece>;
}

export interface WeightedParty {
  readonly adapter: PluggableAdapter & { readonly digest: string };
  readonly weight: number;
}

/**
 * @param parties adapters of one type on one bundle
 * @param beforeEach called before each piece, to stop by throwing or to count
 */
export function partyChanges(
  parties: readonly WeightedParty[],
  model: Model,
  beforeEach: (elements: number) => void,
): PartyChanges {
  const [{ adapter: first }] = parties as [WeightedParty, ...WeightedParty[]];
  const layers = [...new Set(first.changes.map(({ layer }) => layer))];
  const weightsChanged = first.changes.map(
    (placed): ChangedWeight => ({
      ...placed,
      place: layers.indexOf(placed.layer),
      ...shapeOf(placed, model),
    }),
  );
  const piecesOf = (tensor: number) =>
    pieces(parties, model, { tensor, weight: weightsChanged[tensor]!, beforeEach });
  return {
    parties: parties.map(({ adapter }) => adapter.digest),
    weights: parties.map(({ weight }) => weight),
    places: layers.length,
    size: weightsChanged.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    weightsChanged,
    layers,
    piecesOf,
    *pieces() {
      for (const tensor of weightsChanged.keys()) yield* piecesOf(tensor);
    },
  };
}

/** How many numbers of the full model an adapter changes, or inserts. */
export const changedElements = ({ changes }: PluggableAdapter, model: Model): number =>
  changes.reduce((sum, placed) => sum + sizeOf(shapeOf(placed, model).shape), 0);

function shapeOf({ change }: PlacedChange, model: Model): Pick<ChangedWeight, 'shape' | 'base'> {
  const stored = change.inserted ? undefined : storedFor(model, change.name);
  return { shape: stored?.shape ?? change.tensors[0]!.shape, base: stored?.name };
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

interface OfTensor {
  readonly tensor: number;
  readonly weight: ChangedWeight;
  readonly beforeEach: (elements: number) => void;
}

function* pieces(
  parties: readonly WeightedParty[],
  model: Model,
  { tensor, weight, beforeEach }: OfTensor,
): Iterable<Piece> {
  const { shape, base, place } = weight;
  const rows = shape[0] ?? 1;
  const columns = sizeOf(shape) / rows;
  const atOnce = Math.max(1, Math.floor(bytesAtOnce / (8 * parties.length * columns)));
  const readers = parties.map(({ adapter }) => readerOf(adapter, weight, columns));
  const buffers = parties.map(() => new Float64Array(Math.min(rows, atOnce) * columns));
  for (let from = 0; from < rows; from += atOnce) {
    const to = Math.min(rows, from + atOnce);
    const size = (to - from) * columns;
    beforeEach(size);
    const full = base === undefined ? undefined : () => model.read(base, { rows: [from, to] });
    let read: Float32Array | undefined;
    const changes = buffers.map((buffer, party) => {
      const change = buffer.subarray(0, size);
      readers[party]!(change, [from, to], () => {
        read ??= full?.();
        return read;
      });
      return change;
    });
    yield { place, tensor, from: from * columns, changes };
  }
}

/** Fills rows of one adapter's change; the full model's are asked for where it holds the weight itself. */
type Reader = (
  into: Float64Array,
  rows: readonly [number, number],
  full: () => Float32Array | undefined,
) => void;

function readerOf(adapter: PluggableAdapter, { change: { name } }: ChangedWeight, columns: number): Reader {
  // Its own, since the tensors' names may differ between forms of one change.
  const { change } = adapter.changes.find((placed) => placed.change.name === name)!;
  if (change.factors === undefined) {
    const tensor = change.tensors[0]!.name;
    return (into, rows, full) => {
      into.set(adapter.read(tensor, { rows }));
      const base = full();
      if (base !== undefined) for (let i = 0; i < into.length; i++) into[i]! -= base[i]!;
    };
  }
  const { rank, scale, product } = change.factors;
  const { left, right } = product(change.tensors.map((tensor) => adapter.read(tensor.name)));
  return (into, rows) => productRows(into, { left, right, columns, rank }, rows, scale);
}
