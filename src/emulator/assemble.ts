// The second half of an emulator's build: from pooled hidden states to a plan, and to a bundle with its scores.

import { badModel } from '../api/index.ts';
import {
  type CheckedFiles,
  canonicalJson,
  checkFree,
  checkpointsOf,
  clearAt,
  doneOrFree,
  openArtifact,
  peekManifest,
  seal,
  type Work,
  type WrittenFiles,
} from '../artifact/index.ts';
import { readRows } from '../data/index.ts';
import type { Engine } from '../engine/index.ts';
import { type HashedModel, type Model, openModel } from '../model/index.ts';
import type { NestedFactors } from './auto/factors.ts';
import { type AutoOptions, type Found, findWay } from './auto/find.ts';
import type { Planned } from './auto/planned.ts';
import { openBlocks, readSimilarity, type SimilarityRecord } from './bundle.ts';
import type { CompressionOptions } from './compression/index.ts';
import { clearDerived, type Derive, type Derived, deriveBlocks, nothingDerived } from './derived.ts';
import { type Evaluation, type HeldOut, scoreEmulator, scoreFull } from './evaluate.ts';
import { attack } from './leak/attack.ts';
import { copiesOf } from './leak/copies.ts';
import { type ExactShare, exactShare, tensorsThatRun } from './leak/exact-share.ts';
import { exactParts, exactTensors, heldIn } from './leak/held.ts';
import type { RowLeak } from './leak/leak.ts';
import type { Recovery } from './leak/recovery.ts';
import { type SubspaceShare, subspaceShare } from './leak/subspace.ts';
import {
  type DescribedTest,
  describeTest,
  type LeakTest,
  type PreparedTest,
  prepareTest,
} from './leak-test.ts';
import { nothingObserved } from './observe/observations.ts';
import { openObservations } from './observe/open.ts';
import { type Layout, layoutOf } from './plan/layout.ts';
import type { Plan } from './plan/plan.ts';
import { leaveOut } from './probe/left-out.ts';
import { type BuildInput, probed, probeExamples, probeKey } from './probe/stage.ts';
import { type ProbeKey, readStates } from './probe/states.ts';
import { type RefineOptions, refine } from './refine/refine.ts';
import { checkComparable } from './similarity/comparable.ts';
import { doubtsOf } from './similarity/doubts.ts';
import { adjacentValues, type SimilarityOptions, similarityMatrix } from './similarity/similarity.ts';
import {
  keptCount,
  leftOut,
  makePlan,
  observedBy,
  type PlanOptions,
  planOptions,
} from './strategies/make-plan.ts';
import { storedTensors, writeBundle } from './write-bundle.ts';

export interface AssembleInput extends BuildInput {
  readonly similarity: SimilarityOptions;
  /** Which layers are kept, and where they run; found, with the compression, when absent. */
  readonly plan?: PlanOptions;
  /** What the way is found within; there when no plan is. */
  readonly auto?: AutoOptions | undefined;
  /** What the kept layers become that do not train; exact when absent. */
  readonly compression?: CompressionOptions | undefined;
  /** How those are trained before the bundle is sealed; they are not when absent. */
  readonly refine?: RefineOptions | undefined;
  /** A directory of this resource alone: what is kept of unfinished work. */
  readonly own: string;
  /** The most rows after the probe's that score full model and emulator; 0 for no scores. */
  readonly limit: number;
  /** Whether the bundle's leak is measured beside its scores; it is not when absent. */
  readonly leak?: boolean | undefined;
  /** How the bundle is attacked before it is sealed; it is not when absent. */
  readonly leakTest?: LeakTest | undefined;
}

/** An input that says its way, or whose way was found. */
type Said = AssembleInput & { readonly plan: PlanOptions };

/** What the manifest keeps of the scores. */
interface Scores {
  readonly evaluation: Evaluation;
  readonly exactShare: ExactShare;
  /** Where it was measured. */
  readonly leak?: Leak;
  /** Where the bundle was attacked. */
  readonly leakTest?: Recovery;
}

/** What a bundle gives away before anybody tunes it; the measures of rows are missing where there are no scores. */
export type Leak = Partial<RowLeak> & { readonly subspaceShare: SubspaceShare };

export interface Assembled extends Scores {
  readonly similarity: SimilarityRecord;
  /** Of what the way was chosen, where it was not given. */
  readonly auto?: Found | undefined;
  /** Why the similarities say little, where they do. */
  readonly doubts?: string | undefined;
  readonly artifact: { readonly digest: string; readonly sizeBytes: number };
}

/**
 * The stage `assemble`: pooled states to similarity, plan, scores and bundle. States that are not all there are computed
 * first. A bundle of the same inputs that this resource has made before is checked and returned.
 * @throws OffsiteError BadSpec where the model has too few layers
 */
export async function assemble(engine: Engine, asked: AssembleInput): Promise<Assembled> {
  const model = openModel(asked.model, { digest: asked.expected?.model });
  try {
    if (asked.plan !== undefined) keptCount(asked.plan, model.architecture.depth);
    const key = probeKey(engine, model, asked);
    const { input, found: auto } = await saidOrFound(engine, model, key, asked);
    const work = describe(key, input);
    let digest = (await doneOrFree(input, work))?.digest;
    if (digest === undefined) {
      const found = await probed(engine, model, key, input);
      const similarity = await similarityOf(engine, model, { key, ...found }, input);
      const heldOut = await scoreFull(engine, model, key, input);
      const test = await preparedTest(engine, model, { heldOut, work }, input);
      const derived = await blocksOf(engine, model, key, { plan: similarity, ...found }, input);
      const layout = layoutOf(similarity, derived.shapes);
      const { checkUnchanged } = model;
      const fill = async (files: WrittenFiles, directory: string) => {
        writeBundle(files, model, layout, { similarity, derived });
        const bundle = { directory, layout, clusters: similarity.clusters, files: files.read() };
        const scores = await scoreBundle(engine, model, bundle, heldOut, input);
        const attacked = test && { test, work, checkUnchanged };
        const recovery = attacked && (await attackBundle(engine, bundle, attacked, input));
        bundle.files.checkUnchanged();
        return { ...scores, ...(recovery && { leakTest: recovery }) };
      };
      ({ digest } = await seal(input, work, { fill, checkUnchanged }));
    }
    clearDerived(input.own);
    const made = readAssembled(input.output, digest);
    const rows = await readRows(input.data.path, input.data.format, {
      limit: input.probe.samples,
      digest: key.data,
      cancelled: () => engine.isCancelled,
    });
    return { ...made, auto, doubts: doubtsOf(rows, made.similarity.matrix) };
  } finally {
    model.close();
  }
}

/**
 * Looks whether the bundle may go to its output, which the stage `probe` does too.
 * @throws OffsiteError BadSpec
 */
export function checkBundlePlace(key: ProbeKey, input: AssembleInput): void {
  const { plan, output } = input;
  if (plan !== undefined) checkFree(input, describe(key, { ...input, plan }));
  else if (!isMadeFrom(output, madeFromOf(key)))
    checkFree(input, { kind: 'Emulator', madeFrom: madeFromOf(key), hyperparameters: {} });
}

/** Whether a bundle of these inputs is there, which may be the one that will be asked for. */
function isMadeFrom(output: string, madeFrom: Work['madeFrom']): boolean {
  const there = peekManifest(output)?.manifest;
  return there?.kind === 'Emulator' && canonicalJson(there.madeFrom) === canonicalJson(madeFrom);
}

const madeFromOf = ({ model, data, tokenizer }: ProbeKey) => ({ model, probe: data, tokenizer });

/** All that a bundle depends on. */
function describe(key: ProbeKey, input: Said): Work {
  return {
    kind: 'Emulator',
    madeFrom: madeFromOf(key),
    hyperparameters: hyperparametersOf(key, input),
  };
}

function readAssembled(directory: string, digest: string): Assembled {
  const { manifest, sizeBytes, checked } = openArtifact(directory, { kind: 'Emulator', digest });
  const scores = manifest.scores as unknown as Scores;
  return { similarity: readSimilarity(directory, checked), ...scores, artifact: { digest, sizeBytes } };
}

/** The input with its way; where it says none, the one that is found. */
async function saidOrFound(
  engine: Engine,
  model: HashedModel,
  key: ProbeKey,
  input: AssembleInput,
): Promise<{ input: Said; found?: Found }> {
  const { plan, auto } = input;
  if (plan !== undefined) return { input: { ...input, plan } };
  if (auto === undefined) throw new Error('neither a plan nor what it is found within');
  const { states, observations } = await probed(engine, model, key, input);
  const observed = openObservations(observations!);
  const matrix = matrixOf(engine, { key, states }, input);
  const evidence = { adjacent: adjacentValues(matrix), influence: observed.influence };
  const said = ({ compression, ...way }: Found['way']): Said => ({
    ...{ ...input, compression },
    plan: planOptions(way, auto.sharing),
  });
  let tried = 0;
  const make = async ({ way, plan }: Planned, factors: NestedFactors | undefined) => {
    // The one before keeps too much: nobody goes on with its training.
    if (tried++ > 0) clearAt(checkpointsOf(input.own));
    const isLowRank = way.compression?.type === 'lowRank';
    const derive = isLowRank ? factors?.derive : undefined;
    const derived = await blocksOf(engine, model, key, { plan, observations, derive }, said(way));
    const layout = layoutOf(plan, derived.shapes);
    return { layout, tensors: storedTensors(model, layout, derived) };
  };
  const findings = { key, evidence, found: observed };
  const found = await findWay(engine, model, findings, { ...input, auto, make });
  return { input: said(found.way), found };
}

/** How alike every two layers are. */
function matrixOf(engine: Engine, found: Probed, { similarity, memory }: AssembleInput): number[][] {
  const states = readStates(found.states);
  if (states === undefined)
    throw badModel(`${found.states}: the pooled states are gone again; run once more`);
  const { samples, width } = states[0]!;
  checkComparable({ samples, layers: states.length, width }, similarity.metric, memory);
  const stopIfAsked = () => engine.throwIfCancelled();
  return similarityMatrix(states, similarity, stopIfAsked).map((row) => [...row]);
}

async function similarityOf(
  engine: Engine,
  model: Model,
  found: Probed,
  input: Said,
): Promise<SimilarityRecord> {
  const matrix = matrixOf(engine, found, input);
  const adjacent = adjacentValues(matrix);
  const evidence = { adjacent, ...(await evidenceOf(engine, model, found, input)) };
  return { ...input.similarity, matrix, ...evidence, ...makePlan(evidence, input.plan) };
}

/** Where what the probe's pass found lies. */
interface Probed {
  readonly key: ProbeKey;
  readonly states: string;
  readonly observations?: string | undefined;
}

/** What the strategy chooses by beside similarities. */
async function evidenceOf(
  engine: Engine,
  model: Model,
  { key, observations }: Probed,
  input: Said,
): Promise<Pick<SimilarityRecord, 'influence' | 'removed'>> {
  const count = leftOut(input.plan, model.architecture.depth);
  if (count > 0) return { removed: await leaveOut(engine, model, { key, count }, input) };
  if (observedBy(input.plan.strategy).length === 0 || observations === undefined) return {};
  return { influence: [...openObservations(observations).influence] };
}

/** What blocks are made by. */
interface Made {
  readonly plan: Plan;
  readonly observations?: string | undefined;
  readonly derive?: Derive | undefined;
}

/** What a bundle holds beside the full model's own tensors: derived, and trained where that is asked for. */
async function blocksOf(
  engine: Engine,
  model: HashedModel,
  key: ProbeKey,
  made: Made,
  input: Said,
): Promise<Derived> {
  const derived = await derivedOf(engine, model, key, made, input);
  return refined(engine, model, derived, { plan: made.plan, key }, input);
}

async function derivedOf(
  engine: Engine,
  model: Model,
  key: ProbeKey,
  { plan, observations, derive }: Made,
  { compression, own, emit }: AssembleInput,
): Promise<Derived> {
  if (compression === undefined) return nothingDerived;
  const found = observations === undefined ? nothingObserved : openObservations(observations);
  const given = { engine, model, plan, found };
  return deriveBlocks(own, given, compression, { probed: key, derive, emit });
}

/** The same blocks after their training, where one is asked for. */
async function refined(
  engine: Engine,
  model: HashedModel,
  derived: Derived,
  { plan, key }: { plan: Plan; key: ProbeKey },
  { refine: options, ...input }: Said,
): Promise<Derived> {
  if (options === undefined) return derived;
  // Neither scores nor a test of the bundle change what is trained.
  const { madeFrom, hyperparameters } = describe(key, {
    ...input,
    limit: 0,
    leak: false,
    leakTest: undefined,
  });
  const examples = await probeExamples(model, engine, key.data, input);
  const trained = await refine(
    engine,
    {
      ...{ model, plan, derived, examples, madeFrom },
      ...{ layout: layoutOf(plan, derived.shapes), hyperparameters },
      ...{ own: input.own, memory: input.memory, keeper: input.keeper, emit: input.emit },
      checkUnchanged: model.checkUnchanged,
    },
    options,
  );
  return { ...trained, shapes: derived.shapes };
}

function hyperparametersOf(
  key: ProbeKey,
  { similarity, plan, compression, refine, limit, leak, leakTest }: Said,
) {
  const { format, samples, maxLength, pooling, skipFirst, precision } = key;
  return {
    ...(precision && { precision }),
    probe: { format, samples, maxLength, pooling, skipFirst },
    similarity: { ...similarity },
    plan: { ...plan },
    ...(compression && { compression: { ...compression } }),
    ...(refine && { refine: { ...refine } }),
    evaluation: { limit, ...(leak ? { leak } : {}) },
    ...(leakTest && { leakTest: describeTest(leakTest) }),
  };
}

/** A bundle in the making, of which only what was written is read. */
interface Unsealed {
  readonly directory: string;
  readonly layout: Layout;
  readonly clusters: Plan['clusters'];
  readonly files: CheckedFiles;
}

/** Scores what was written, as whoever gets the bundle runs it. */
async function scoreBundle(
  engine: Engine,
  full: Model,
  { directory, layout, clusters, files }: Unsealed,
  heldOut: HeldOut,
  input: AssembleInput,
): Promise<Scores> {
  const model = openBlocks(directory, layout, files);
  try {
    const { evaluation, leak } = await scoreEmulator(engine, { model, layout }, heldOut, input);
    const made = { layout, clusters, copies: copiesOf(full) };
    const exact = exactTensors(full, model, made);
    const scores = {
      evaluation,
      exactShare: exactShare(tensorsThatRun(full), exact, exactParts(full, model, { ...made, exact })),
    };
    if (!input.leak) return scores;
    const share = await subspaceShare(engine, { model: full, exact, heldOf: heldIn(model, made) });
    return { ...scores, leak: { ...leak, subspaceShare: share } };
  } finally {
    model.close();
  }
}

const preparedTest = async (
  engine: Engine,
  model: Model,
  { heldOut, work }: { heldOut: HeldOut; work: Work },
  { leakTest: test, ...input }: AssembleInput,
): Promise<PreparedTest | undefined> =>
  test &&
  (await prepareTest(
    engine,
    model,
    { test, described: work.hyperparameters['leakTest'] as DescribedTest },
    heldOut,
    input,
  ));

/** Attacks what was written, as whoever gets the bundle could. */
async function attackBundle(
  engine: Engine,
  { directory, layout, files }: Unsealed,
  { test, work, checkUnchanged }: { test: PreparedTest; work: Work; checkUnchanged: () => void },
  { leakTest, own, memory, keeper, emit }: AssembleInput,
): Promise<Recovery> {
  const model = openBlocks(directory, layout, files);
  try {
    const { tokens, learningRate, batchSize, seed } = leakTest!;
    return await attack(
      engine,
      {
        ...{ ...test, ...work, emulator: { model, layout } },
        ...{ own, memory, keeper, emit, checkUnchanged },
      },
      { tokens, learningRate: Number(learningRate), batchSize, seed },
    );
  } finally {
    model.close();
  }
}
