// The emulator as it is handed over: its files, what must hold in them, and the weights of each position.
import { join } from 'node:path';
import { z } from 'zod';
import { badModel, listOf } from '../api/index.ts';
import { type CheckedFiles, type Files, type OpenedArtifact, openArtifact } from '../artifact/index.ts';
import { readJsonFile } from '../checkpoint/index.ts';
import {
  checkFileNames,
  type Model,
  type Overlay,
  openHashed,
  type Site,
  type Slots,
  type WeightSource,
  weightsOf,
} from '../model/index.ts';
import { type Layout, layoutOf, placedBlocks, slotsOf } from './plan/layout.ts';
import { type Plan, trainedLayers, trainsAt } from './plan/plan.ts';
import { checkShape, readShapes } from './shapes.ts';

export const similarityFile = 'similarity.json';
const mostLayers = 1024;
/** A model of 1,024 layers has a million similarities. */
const similarityBounds = { bytes: 64 << 20, depth: 4, values: 1 << 21 };

const layer = z.int().nonnegative();
const layers = listOf(layer);
const someLayers = listOf(layer, z.array(z.unknown()).min(1));
const similaritySchema = z.strictObject({
  metric: z.enum(['linearCKA', 'rbfCKA', 'cosine', 'angular']),
  threshold: z.number().positive().optional(),
  adjacent: listOf(z.number()),
  /** Of each layer, where it was chosen by. */
  influence: listOf(z.number()).optional(),
  /** In the order in which they were left out, where the loss without them told which. */
  removed: listOf(layer).optional(),
  matrix: listOf(listOf(z.number())),
  clusters: listOf(listOf(layer)),
  kept: someLayers,
  transferLayers: layers,
  source: someLayers,
});

/** What similarity.json holds: how alike the layers are and the plan made of it. */
export type SimilarityRecord = z.output<typeof similaritySchema>;

/** An emulator's bundle, checked against its manifest. */
export interface Bundle {
  readonly artifact: OpenedArtifact;
  /** The embedding, the kept blocks, final norm and head, under their names in the full model; its depth is the full one's. */
  readonly model: Model;
  readonly plan: Plan;
  readonly layout: Layout;
  readonly similarity: SimilarityRecord;
  close(): void;
}

/**
 * Opens a bundle.
 * @throws OffsiteError BadModel when a file is not the manifest's, the digest is another one, or the plan does not fit the model
 */
export const openBundle = (directory: string, digest?: string): Bundle =>
  bundleIn(openArtifact(directory, { kind: 'Emulator', digest }));

/** The bundle that an artifact is. @throws OffsiteError BadModel as above */
export function bundleIn(artifact: OpenedArtifact): Bundle {
  const { directory, checked } = artifact;
  checkFileNames(artifact);
  const similarity = readSimilarity(directory, checked);
  const { clusters, kept, transferLayers, source } = similarity;
  const plan = { clusters, kept, transferLayers, source };
  checkLengths(directory, plan);
  const layout = layoutOf(plan, readShapes(directory, checked, plan));
  const model = openBlocks(directory, layout, checked);
  try {
    checkPlan(directory, plan, model.architecture.depth);
  } catch (error) {
    model.close();
    throw error;
  }
  return { artifact, model, plan, layout, similarity, close: () => model.close() };
}

/**
 * The files of a bundle as a model that has the layout's blocks.
 * @param files as they were hashed
 * @throws OffsiteError BadModel
 */
export function openBlocks(directory: string, layout: Layout, files: CheckedFiles): Model {
  return openHashed(directory, files, {
    blocks: (architecture) =>
      Object.values(layout.blocks).map((block) => {
        if (block.shape !== undefined) checkShape(directory, architecture, block.of, block.shape);
        return slotsOf(architecture, block);
      }),
  });
}

/** What of a bundle runs. */
export type Emulator = Pick<Bundle, 'model' | 'layout'>;

export interface EmulatorWeightOptions {
  /** Bytes of decoded weights that may stay in memory. */
  readonly memory: number;
  /** An adapter's tensors; they stand at their layers' own positions only, and in the head. */
  readonly adapter?: Overlay;
}

/**
 * The emulator's own weights by position, out of its bundle: a position that repeats a transfer layer runs the weights as they
 * were made, whatever `adapter` holds.
 */
export function emulatorWeights(
  { model, layout }: Emulator,
  { memory, adapter }: EmulatorWeightOptions,
): WeightSource {
  const overlays = new Map<Site, Overlay>();
  if (adapter !== undefined) {
    overlays.set('head', adapter);
    layout.positions.forEach(({ trains }, position) => {
      if (trains) overlays.set(position, adapter);
    });
  }
  return weightsOf(model, { blocks: placedBlocks(model.architecture, layout), overlays, memory });
}

/** What a kept layer is made of in a bundle. */
export function bundleSlots({ model, layout }: Emulator): (layer: number) => Slots {
  const blocks = new Map(Object.values(layout.blocks).map((block) => [block.of, block]));
  return (layer) => slotsOf(model.architecture, blocks.get(layer)!);
}

/** similarity.json of a bundle. @throws OffsiteError BadModel */
export function readSimilarity(directory: string, files: Files): SimilarityRecord {
  const path = join(directory, similarityFile);
  try {
    return similaritySchema.parse(readJsonFile(path, similarityBounds, files).value);
  } catch (error) {
    throw badModel(`${path}: is missing or damaged; build the emulator again`, { cause: error });
  }
}

/** What is compared each with each must be few, whatever the file says, before it is looked at. */
function checkLengths(directory: string, plan: Plan): void {
  for (const [name, list] of Object.entries(plan))
    if (list.length > mostLayers)
      throw badModel(
        `${join(directory, similarityFile)}: ${name}: has ${list.length} entries; no model has more than ${mostLayers} layers`,
      );
}

function checkPlan(directory: string, plan: Plan, depth: number): void {
  const layers = plan.clusters.flat();
  const whole = layers.length === depth && layers.every((value, i) => value === i);
  const within = [...plan.transferLayers, ...plan.source].every((value) => plan.kept.includes(value));
  const trained = trainedLayers(plan).every((layer) =>
    plan.source.some((source, position) => source === layer && trainsAt(plan, position)),
  );
  const positions = plan.source.length === depth || plan.source.length === plan.kept.length;
  const ordered = rises(plan.kept) && rises(plan.transferLayers);
  if (!whole || !within || !trained || !positions || !ordered)
    throw badModel(`${join(directory, similarityFile)}: its plan does not fit a model of ${depth} layers`);
}

/** Whether layers stand in their order, each once. */
const rises = (layers: readonly number[]) => layers.every((layer, i) => i === 0 || layer > layers[i - 1]!);
