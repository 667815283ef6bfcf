// The adapter that the data owner sends back: verified as untrusted input, then laid over the full model's weights.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Adapter as adapterSchema, badModel, type OffsiteTuneSpec } from '../api/index.ts';
import { type CheckedFiles, type OpenedArtifact, openArtifact, type Written } from '../artifact/index.ts';
import { type Checkpoint, type DType, openCheckpoint, type ReadOptions } from '../checkpoint/index.ts';
import { type Bundle, shapeIn, trainedLayers } from '../emulator/index.ts';
import { checkFileNames, type Model, type Overlay, type Slot, type Slots } from '../model/index.ts';
import {
  type AdapterKind,
  type AdapterTensor,
  adapterOf,
  type Change,
  direct,
  insertedBy,
} from '../tuning/index.ts';
import { checkMagnitude } from './magnitude.ts';
import { type Origin, trainedIn } from './origin.ts';

/** An adapter that came back and passed every check. */
export interface Adapter extends PluggableAdapter {
  readonly digest: string;
  /** Of its tensors' values alone, whatever holds them: who sends another's adapter again sends the same. */
  readonly tensorsDigest: string;
  /** Its files, which must still be these when all has been read of them. */
  readonly checked: CheckedFiles;
  /** Copies its tensors' file to where nothing is. */
  copy(to: string): Written;
}

/** What an adapter changes at one place: of a layer, or of the head where that is absent. */
export interface PlacedChange {
  readonly layer?: number;
  readonly change: Change;
}

/** As an overlay it gives the full model's tensors with the adapter, made when asked for. */
export interface PluggableAdapter extends Overlay {
  /** Who is at fault where it makes no model. */
  readonly origin: Origin;
  /** `spec.adapter` of what trained it. */
  readonly type: OffsiteTuneSpec['adapter'];
  /** All that it changes in the full model, layer by layer. */
  readonly changes: readonly PlacedChange[];
  /** The values of its own tensors. */
  read(tensor: string, options?: ReadOptions): Float32Array;
  /** Of its own tensors. */
  readonly names: readonly string[];
  /** The weights of the full model that it changes, by the names that `get` takes. */
  readonly changed: readonly string[];
  /** The inserted tensors that a coefficient scales: a module's output is linear in them. */
  readonly scaled: ReadonlySet<string>;
  inserted(layer: number): Slots;
  /**
   * The same adapter as it ran in the bundle that it was trained on: on the weights that the bundle's transfer layers have, or
   * beside the maps of its layers where it has none.
   */
  on(model: Pick<Model, 'read'>): Overlay & { inserted(layer: number): Slots };
  /** What belongs beside its tensors, by file name. */
  readonly files: Readonly<Record<string, string>>;
  close(): void;
}

/** What an adapter must belong to. */
export interface Expected {
  model: Pick<Model, 'architecture' | 'read' | 'tensors'>;
  /** What a layer of `model` is made of, where that is a bundle; what its architecture says when absent. */
  slots?: ((layer: number) => Slots) | undefined;
  /** The digest of the bundle that it must have been trained on. */
  emulator: string;
  /** That bundle's. */
  bundle: Pick<Bundle, 'plan' | 'layout'>;
}

export const adapterFile = 'adapter.safetensors';

/**
 * Opens what came back from the data owner and trusts none of it: digests, then the emulator it was trained on, then names,
 * shapes, dtypes and finite values of exactly the tensors that its type has for the trained layers, and changes that could
 * have been trained.
 * @param expected.digest where the other party named one
 * @throws OffsiteError BadModel naming the tensor or digest
 */
export const openAdapter = (
  directory: string,
  { digest, ...expected }: Expected & { digest?: string | undefined },
): Adapter => adapterIn(openArtifact(directory, { kind: 'Adapter', digest }), expected);

/** The adapter that an artifact is. @throws OffsiteError BadModel as above */
export function adapterIn(artifact: OpenedArtifact, { model, slots, emulator, bundle }: Expected): Adapter {
  const { directory } = artifact;
  const trainedOn = artifact.manifest.madeFrom['emulator'];
  if (trainedOn !== emulator) {
    throw badModel(
      `${directory}: was trained on emulator ${trainedOn ?? '(none named)'}, not on ${emulator}`,
    );
  }
  checkFileNames(artifact);
  const type = typeOf(directory, artifact.manifest.hyperparameters['adapter']);
  const checkpoint = openCheckpoint(join(directory, adapterFile), artifact.checked);
  try {
    const origin = trainedIn(directory);
    const checked = checkedTensors(origin, checkpoint, { type, model, slots, bundle, dtypes: ['F32'] });
    return {
      digest: artifact.digest,
      tensorsDigest: checked.digest,
      checked: artifact.checked,
      copy: (to) => artifact.checked.copy(join(directory, adapterFile), to),
      ...overlayOf(origin, checkpoint, checked, { type, model, bundle }),
    };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/**
 * Opens tensors that were made here, with the same checks, in the form of an adapter's type, or, `dense`, as the weights that
 * they come to.
 * @param origin names them in errors
 * @param description.files among which it was hashed
 */
export function openTensors(
  origin: Origin,
  file: string,
  { files, ...description }: AdapterDescription & { dense: boolean; files: CheckedFiles },
): PluggableAdapter {
  const checkpoint = openCheckpoint(file, files);
  try {
    const checked = checkedTensors(origin, checkpoint, { ...description, dtypes: ['F32'] });
    return overlayOf(origin, checkpoint, checked, description);
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

interface AdapterDescription extends Pick<Expected, 'model' | 'slots' | 'bundle'> {
  type: Adapter['type'];
  /** Whether the tensors are the weights that the changes come to, by their names in the full model. */
  dense?: boolean;
}

/** The weights that changes of a layer come to, each a tensor of its own. */
function wholeOf({ inModel }: Changes, slots: Slots): Changes {
  const whole = inModel.map(({ slot, name }) => direct(slot, { name, shape: slots[slot]!.shape }));
  return { inModel: whole, inBundle: whole };
}

/** What the tensors of an adapter change. */
interface CheckedTensors {
  readonly tensors: readonly AdapterTensor[];
  /** Of their values, in this order. */
  readonly digest: string;
  readonly layers: ReadonlyMap<number, Changes>;
  readonly head: readonly Change[];
}

/** Of a layer, by where the adapter is. */
interface Changes {
  readonly inModel: readonly Change[];
  readonly inBundle: readonly Change[];
}

/**
 * Checks names, shapes, types and values of exactly the tensors that an adapter of a type has, and that its changes could have
 * been trained.
 * @param origin names it in errors
 * @param dtypes in which its tensors may be
 * @throws OffsiteError BadModel naming the tensor
 */
export function checkedTensors(
  origin: Origin,
  checkpoint: Checkpoint,
  { dtypes, ...description }: AdapterDescription & { dtypes: readonly DType[] },
): CheckedTensors {
  const { name: directory } = origin;
  const { type, model, slots, bundle, dense = false } = description;
  const { architecture } = model;
  const kind = adapterOf(type);
  const asWritten = changesOf(directory, kind, description);
  const layers = dense
    ? new Map([...asWritten].map(([layer, changes]) => [layer, wholeOf(changes, architecture.block(layer))]))
    : asWritten;
  const head = (kind.head?.(architecture) ?? []).map((change) =>
    dense ? direct(change.slot, { name: change.name, shape: change.tensors[0]!.shape }) : change,
  );
  const tensors = [...[...layers.values()].flatMap(({ inModel }) => inModel), ...head].flatMap(
    (change) => change.tensors,
  );
  const digest = checkTensors(checkpoint, directory, { tensors, plan: bundle.plan, dtypes });
  for (const [layer, { inBundle }] of layers) checkLeftOut(directory, checkpoint, layer, inBundle);
  checkMagnitude(
    origin,
    [
      ...[...layers].map(([layer, { inModel }]) => {
        const full = architecture.block(layer);
        return { slots: slots?.(layer) ?? full, full, changes: inModel };
      }),
      ...(head.length > 0 ? [headPlace(architecture.head['head']!, head)] : []),
    ],
    checkpoint,
    model,
  );
  return { tensors, digest, layers, head };
}

const headPlace = (head: Slot, changes: readonly Change[]) => ({ slots: { head }, full: { head }, changes });

function overlayOf(
  origin: Origin,
  checkpoint: Checkpoint,
  { tensors, layers, head }: CheckedTensors,
  { type, model, bundle: { plan } }: AdapterDescription,
): PluggableAdapter {
  const overlay = (where: keyof Changes, of: Pick<Model, 'read'>) => {
    const changes = [...[...layers.values()].flatMap((layer) => layer[where]), ...head];
    const byName = new Map(changes.map((change) => [change.name, change]));
    return {
      inserted: (layer: number) => insertedBy(layers.get(layer)?.[where] ?? []),
      has: (name: string) => byName.has(name),
      get(name: string, into?: Float32Array) {
        const change = byName.get(name);
        return change && plugged(origin, change, checkpoint, of, into);
      },
    };
  };
  const placed: PlacedChange[] = [
    ...[...layers].flatMap(([layer, { inModel }]) => inModel.map((change) => ({ layer, change }))),
    ...head.map((change) => ({ change })),
  ];
  const changes = placed.map(({ change }) => change);
  return {
    origin,
    type,
    changes: placed,
    read: (tensor, options) => checkpoint.read(tensor, options),
    names: tensors.map(({ name }) => name),
    changed: changes.filter(({ inserted }) => !inserted).map(({ name }) => name),
    files: adapterOf(type).files(model.architecture, trainedLayers(plan)),
    scaled: new Set(changes.filter(({ inserted }) => inserted?.scaled).map(({ name }) => name)),
    ...overlay('inModel', model),
    on: (of) => overlay('inBundle', of),
    close: () => checkpoint.close(),
  };
}

/** What the manifest says that was trained. */
function typeOf(directory: string, written: unknown): Adapter['type'] {
  const parsed = adapterSchema.safeParse(written);
  if (!parsed.success)
    throw badModel(`${directory}: its manifest.json names no type of adapter that is known`);
  return parsed.data;
}

/** The changes of the trained layers. */
function changesOf(
  directory: string,
  kind: AdapterKind,
  { type: { type }, model: { architecture }, bundle: { plan, layout } }: AdapterDescription,
): Map<number, Changes> {
  const beside = plan.transferLayers.length === 0;
  if (beside && kind.beside === undefined)
    throw badModel(
      `${directory}: is an adapter of type ${type}; of an emulator without transfer layers only one of type lora may come back`,
    );
  const inModel = (layer: number): Change[] => {
    try {
      return kind.changes(architecture, layer);
    } catch (error) {
      throw badModel(`${directory}: does not fit the model: ${(error as Error).message}`);
    }
  };
  const changes = (layer: number): Changes => {
    const own = inModel(layer);
    return {
      inModel: own,
      inBundle: beside ? kind.beside!(architecture, layer, shapeIn(layout, layer)) : own,
    };
  };
  return new Map(trainedLayers(plan).map((layer) => [layer, changes(layer)]));
}

/** One weight of the full model with the adapter. Where the adapter holds it whole, it is read into its place. */
function plugged(
  origin: Origin,
  { name, tensors, weight, whole, inserted }: Change,
  checkpoint: Checkpoint,
  model: Pick<Model, 'read'>,
  into?: Float32Array,
): Float32Array {
  if (whole) return checkpoint.read(tensors[0]!.name, into ? { into } : {});
  const values = tensors.map((tensor) => checkpoint.read(tensor.name));
  const changed = weight(values, inserted ? new Float32Array() : model.read(name), into);
  if (!changed.every(Number.isFinite))
    throw badModel(`${origin.name}: its change of ${name} is not finite; ${origin.remedy(name)}`);
  return changed;
}

/** What the emulator's block lacks cannot have been trained beside it, and shows nothing there. */
function checkLeftOut(
  directory: string,
  checkpoint: Checkpoint,
  layer: number,
  changes: readonly Change[],
): void {
  for (const { tensors, leftOut } of changes) {
    if (leftOut === undefined) continue;
    const { name } = tensors[0]!;
    const at = leftOut(checkpoint.read(name));
    if (at >= 0)
      throw badModel(
        `${directory}: tensor ${name} changes heads or channels that the emulator's layer ${layer} lacks (element ${at} is not zero)`,
      );
  }
}

/** Names, shapes, dtypes and values. @returns a digest of the values */
function checkTensors(
  checkpoint: Checkpoint,
  directory: string,
  {
    tensors,
    plan,
    dtypes,
  }: { tensors: readonly AdapterTensor[]; plan: Bundle['plan']; dtypes: readonly DType[] },
): string {
  const wanted = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    const tensor = wanted.get(name);
    if (tensor === undefined) {
      throw badModel(
        `${directory}: tensor ${name} is foreign: only tensors of the ${plan.transferLayers.length > 0 ? 'transfer' : 'kept'} layers ${trainedLayers(plan).join(', ')} may come back`,
      );
    }
    if (shape.join() !== tensor.shape.join())
      throw badModel(`${directory}: tensor ${name} is [${shape}], it must be [${tensor.shape}]`);
    if (!dtypes.includes(dtype))
      throw badModel(
        `${directory}: tensor ${name} is ${dtype}; an adapter's tensors are ${dtypes.join(', ')}`,
      );
  }
  for (const name of wanted.keys())
    if (!checkpoint.tensors.has(name))
      throw badModel(`${directory}: lacks tensor ${name}, which its type of adapter has`);
  // Only now is it as large as the file: what its manifest says costs nothing before.
  const largest = tensors.reduce(
    (most, { shape }) =>
      Math.max(
        most,
        shape.reduce((a, b) => a * b, 1),
      ),
    0,
  );
  const buffer = new Float32Array(largest);
  const hash = createHash('sha256');
  for (const [name, { shape }] of wanted) {
    const into = buffer.subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    );
    const values = checkpoint.read(name, { into });
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0)
      throw badModel(
        `${directory}: tensor ${name} holds ${values[bad]} (element ${bad}); values must be finite`,
      );
    hash.update(values);
  }
  return hash.digest('hex');
}
