// The course of a training: from its first step, or its newest checkpoint, to its last.
import type { OffsiteTuneSpec } from '../api/index.ts';
import { checkpointsOf, inPlace } from '../artifact/index.ts';
import { packStep } from '../data/index.ts';
import { likelihoodsOf, measurementOf, packForModel, sharesPrompt } from '../evaluation/index.ts';
import { progressOf } from '../progress/index.ts';
import {
  clearOthers,
  crossEntropy,
  type HiddenRows,
  learningRateFactor,
  meanPairLoss,
  type Objective,
  optimiserStep,
  pairObjective,
  runTraining,
  saveState,
} from '../training/index.ts';
import { refuseDiverged, suspectAt, warnOfNoLoss, warnOfZeros } from './not-finite.ts';
import { ownCheckpoints, type Run, type TuneOptions } from './prepare.ts';
import { chanceOf, noiseKey, type PrivacyPlan, poissonSample } from './privacy/index.ts';
import { keptReference, type Reference } from './reference.ts';

/** What the emulator says of the rows before it is tuned, where the aim is against that. */
export interface References {
  rows?: Reference;
  validation?: Reference;
}

export async function referencesOf(run: Run, { work, memory, emit }: TuneOptions): Promise<References> {
  const { aim, identity, examples, validation, decoder, bundle, privacy, plan } = run;
  if (!aim.hasReference) return {};
  const hidden = privacy !== undefined;
  const kept = { directory: ownCheckpoints(work, run), identity, takesAll: hidden };
  const options = { memory: memory / 2, stage: 'tune: reference', emit, takesNaN: hidden };
  const { architecture } = bundle.model;
  const places = [...examples.keys()];
  const batches = () => {
    // Of rows that are hidden each is asked alone: what stands beside it must not be told by its gradient.
    if (hidden) return places.flatMap((place) => packStep(examples, [place], plan.shape));
    // Both answers of a pair train with the angles of the longer one, and what they are held against has these, too.
    return examples.every((example) => sharesPrompt(example, architecture))
      ? packForModel(examples, architecture, { memory })
      : packStep(examples, places, plan.shape);
  };
  const name = hidden ? 'rows alone' : 'rows';
  const rows = await keptReference({ ...kept, name }, examples, () =>
    likelihoodsOf(decoder, { batches: batches(), metric: 'pair_acc' }, options),
  );
  if (validation === undefined) return { rows };
  const score = () => likelihoodsOf(decoder, validation, options);
  const ofValidation = await keptReference({ ...kept, name: 'validation' }, validation.examples, score);
  return { rows, validation: ofValidation };
}

/** Trains to the last step; tokens computed by this process. */
export async function train(run: Run, references: References, options: TuneOptions): Promise<number> {
  const { spec, work, engine, memory, emit, keeper = inPlace } = options;
  const { state, steps, decoder, checkUnchanged, parts, aim, hasStart } = run;
  const validation = run.validation && { ...run.validation, ...compared(references.validation) };
  const objective = aim.pairs === undefined ? crossEntropy : pairObjective(aim.pairs, references.rows);
  const { evalSteps, checkpointSteps } = spec.training;
  const checkpoints = ownCheckpoints(work, run);
  const nextStep =
    run.privacy === undefined
      ? () => step(run, objective, spec)
      : await hiddenSteps(run, run.privacy, objective, options);
  const progress = progressOf('tune', steps, emit, state.record.step);
  const before = state.record.tokens;
  await runTraining({
    ...{ state, steps, evalSteps, checkpointSteps },
    step: nextStep,
    // What validation rows choose would tell of them, and nothing hides them.
    chooses: run.privacy === undefined,
    evaluate:
      validation &&
      (async () => {
        for (const { training, evaluated } of parts.values()) if (evaluated !== training) evaluated.update();
        const likelihoods = await likelihoodsOf(decoder, validation, {
          memory: memory / 2,
          stage: 'evaluate',
          emit,
          takesNaN: run.privacy !== undefined || state.record.step > 0,
        });
        const found = measurementOf(likelihoods, validation);
        const { cell } = found;
        const loss =
          aim.pairs === undefined ? found.loss : meanPairLoss(likelihoods, aim.pairs, references.validation);
        if (run.privacy === undefined) refuseDiverged(loss, likelihoods, state.record, hasStart);
        return { loss, cell };
      }),
    async save() {
      await keeper.held();
      // What was computed on other weights is gone on from by nobody.
      checkUnchanged();
      saveState(checkpoints, run.identity, state);
      clearOthers(checkpoints);
      keeper.pushLater(checkpointsOf(work), { exact: true });
    },
    progress: (loss, evaluated) =>
      progress(1, [
        ...(Number.isNaN(loss) ? [] : [{ name: 'loss', value: loss.toFixed(4) }]),
        ...(evaluated === undefined ? [] : [{ name: 'validationLoss', value: evaluated.loss.toFixed(4) }]),
      ]),
  });
  engine.throwIfCancelled();
  warnOfZeros(state.record, hasStart, emit);
  warnOfNoLoss(state.record, hasStart, emit);
  return state.record.tokens - before;
}

const compared = (reference: Reference | undefined) => (reference === undefined ? {} : { reference });

/** One step of the optimiser on the next rows. */
async function step(run: Run, objective: Objective, spec: OffsiteTuneSpec): Promise<number> {
  const { state, examples, order, plan } = run;
  const { places, cursor } = order.take(state.record.cursor, spec.training.batchSize);
  const loss = await optimiserStep(
    run.trainer,
    packStep(examples, places, plan.shape),
    state,
    stepOptions(run, objective, spec),
  );
  state.record.cursor = cursor;
  return loss;
}

/**
 * Steps on rows that are drawn and hidden by a key of this training's own; each row is a batch. The key is in the work place
 * before there are any: whoever keeps the output would get adapters of several keys else, from pods that could not seal theirs.
 */
async function hiddenSteps(
  run: Run,
  privacy: PrivacyPlan,
  objective: Objective,
  { spec, work, keeper = inPlace }: TuneOptions,
) {
  const { state, examples, plan, identity, tokens } = run;
  const key = noiseKey(ownCheckpoints(work, run));
  await keeper.push(checkpointsOf(work), { exact: true });
  const { clipNorm, expectedRows, noiseMultiplier, samplingRate } = privacy;
  const randomOf = chanceOf(key, identity, tokens);
  const hidden: HiddenRows = {
    ...{ clipNorm, expectedRows, deviation: noiseMultiplier * clipNorm },
    normal(tensor, step) {
      const random = randomOf(`noise ${step} ${tensor}`);
      return () => random.normal();
    },
  };
  return async (): Promise<number> => {
    const places = poissonSample(randomOf(`rows ${state.record.step}`), examples.length, samplingRate);
    const rows = places.flatMap((place) => packStep(examples, [place], plan.shape));
    return await optimiserStep(run.trainer, rows, state, { ...stepOptions(run, objective, spec), hidden });
  };
}

function stepOptions(
  { state, steps, parts, plan, headGradient: head, sparse, hasStart }: Run,
  objective: Objective,
  { training }: OffsiteTuneSpec,
) {
  const factor = learningRateFactor(training.schedule, state.record.step, steps, training.warmupSteps);
  return {
    ...{ parts, objective, sparse, recompute: plan.recompute },
    ...(head && { head }),
    learningRate: Number(training.learningRate) * factor,
    rateField: 'spec.training.learningRate',
    suspect: suspectAt(state.record.step + 1, hasStart),
    clipNorm: Number(training.clipNorm),
    adam: {
      betas: training.betas.map(Number) as [number, number],
      weightDecay: Number(training.weightDecay),
    },
  };
}
