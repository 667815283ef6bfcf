// The judgement of an evaluation: which of offsite-tuning's inequalities hold, how surely, and in which words.
import { type Cell, isJudged, type TaskResult } from '../api/index.ts';
import { doubtOfFew } from './few-rows.ts';
import { isPerplexity, quality, signed, spread } from './figures.ts';

export type CellName = keyof TaskResult['cells'];

export const cellTitles: Readonly<Record<CellName, string>> = {
  fullZeroShot: 'full model, zero-shot',
  emulatorZeroShot: 'emulator, zero-shot',
  emulatorFineTuned: 'emulator, fine-tuned',
  plugIn: 'full model with the adapter plugged in',
  fullFineTuned: 'full model, fine-tuned (one party has both)',
};

/** How sure a difference is: beyond its 95% interval with rows enough, beyond one standard error only, or not even that. */
export type Certainty = 'holds' | 'leans' | 'within' | 'leansAgainst' | 'fails';

/** Two cells compared; `lead` is how much better the first is, in the metric's own unit, whichever way is better there. */
export interface Comparison {
  readonly better: CellName;
  readonly worse: CellName;
  readonly lead: number;
  readonly stderr: number;
  readonly low: number;
  readonly high: number;
  /** From the same rows (paired bootstrap); otherwise from the sum of the two standard errors, than which none is larger. */
  readonly paired: boolean;
  readonly certainty: Certainty;
  /** Why the rows are too few to decide anything, whatever the interval says; absent where they are not. */
  readonly few?: string;
}

export type Outcome = 'worked' | 'undecided' | 'failed' | 'told';

/** Whether offsite-tuning worked on one task, after offsite-tuning's inequalities (arXiv 2302.04870), with the sentence that says so. */
export interface Verdict {
  readonly outcome: Outcome;
  readonly headline: string;
  /** Absent where the metric judges nothing. */
  readonly comparisons?: Comparisons;
}

export interface Comparisons {
  readonly emulatorBelowFull: Comparison;
  readonly plugInAboveFull: Comparison;
  readonly plugInAboveEmulator: Comparison;
  /** What the bundle gives away once it is tuned; no inequality of the paper's, and no part of the outcome. */
  readonly tunedEmulatorBelowFull: Comparison;
}

/**
 * Judges one task: emulator zero-shot < full zero-shot <= plug-in, and plug-in > emulator fine-tuned.
 * It worked only where all three differences exclude zero; a difference within its error is never called a gain.
 */
export function judge(result: TaskResult): Verdict {
  if (!isJudged(result.metric)) return { outcome: 'told', headline: tellingOf(result) };
  const emulatorBelowFull = compare(result, 'fullZeroShot', 'emulatorZeroShot');
  const plugInAboveFull = compare(result, 'plugIn', 'fullZeroShot');
  const plugInAboveEmulator = compare(result, 'plugIn', 'emulatorFineTuned');
  const inequalities = { emulatorBelowFull, plugInAboveFull, plugInAboveEmulator };
  const certainties = Object.values(inequalities).map(({ certainty }) => certainty);
  const outcome: Outcome = certainties.includes('fails')
    ? 'failed'
    : certainties.every((certainty) => certainty === 'holds')
      ? 'worked'
      : 'undecided';
  const tunedEmulatorBelowFull = compare(result, 'fullZeroShot', 'emulatorFineTuned');
  return {
    outcome,
    headline: headlineOf(result, inequalities, outcome),
    comparisons: { ...inequalities, tunedEmulatorBelowFull },
  };
}

const tellingOf = ({ task, metric, cells }: TaskResult): string =>
  `On ${task} the plugged-in model leans more to the chosen answer than the full model does in ${quality(metric, cells.plugIn.value)} of the pairs, which is told and not judged`;

/** What is compared: of a task's result, or of the cells on private rows. */
type Compared = Pick<TaskResult, 'metric' | 'samples' | 'differences'> & {
  readonly cells: Partial<TaskResult['cells']>;
};

/** Compares two cells, with the paired bootstrap where the status has it. */
export function compare(compared: Compared, better: CellName, worse: CellName): Comparison {
  const { metric, samples, cells, differences = [] } = compared;
  const sign = isPerplexity(metric) ? -1 : 1;
  const found = differences.find(({ name }) => name === `${better} - ${worse}`);
  const [a, b] = [cells[better], cells[worse]] as [Cell, Cell];
  const value = found ? Number(found.value) : Number(a.value) - Number(b.value);
  const stderr = found ? Number(found.stderr) : Number(a.stderr) + Number(b.stderr);
  // An infinite perplexity is worse than any other by whatever error: it has none to take away.
  const margin = Number.isFinite(value) ? 1.96 * stderr : 0;
  const [low, high] = found ? [Number(found.low), Number(found.high)] : [value - margin, value + margin];
  const interval = sign > 0 ? { low, high } : { low: -high, high: -low };
  const lead = sign * value + 0;
  const paired = found !== undefined;
  const few = doubtOfFew({
    ...{ metric, samples, values: [Number(a.value), Number(b.value)], lead, stderr, ...interval },
  });
  const certainty = few === undefined ? certaintyOf(lead, stderr, { ...interval, paired }) : 'within';
  return { better, worse, lead, stderr, ...interval, paired, certainty, ...(few && { few }) };
}

/**
 * By the interval alone, as far as it is one: an error has no number where its square is beyond all, and a perplexity that is
 * itself is worse than any other. Where the error is only known not to be larger, nothing is within it.
 */
function certaintyOf(
  lead: number,
  stderr: number,
  { low, high, paired }: { low: number; high: number; paired: boolean },
): Certainty {
  if (isNone({ lead, low, high })) return 'within';
  if (low > 0) return 'holds';
  if (high < 0) return 'fails';
  if (paired && Number.isFinite(stderr) && Math.abs(lead) <= stderr) return 'within';
  return lead > 0 ? 'leans' : 'leansAgainst';
}

/** Whether two figures have no difference: one has no error (NaN), or both are infinite. */
const isNone = ({ lead, low, high }: Pick<Comparison, 'lead' | 'low' | 'high'>): boolean =>
  [lead, low, high].some(Number.isNaN);

function headlineOf(
  { task, metric, cells }: TaskResult,
  {
    emulatorBelowFull,
    plugInAboveFull,
    plugInAboveEmulator,
  }: Pick<Comparisons, 'emulatorBelowFull' | 'plugInAboveFull' | 'plugInAboveEmulator'>,
  outcome: Outcome,
): string {
  const change = `${quality(metric, cells.fullZeroShot.value)} to ${quality(metric, cells.plugIn.value)}`;
  const verb = isPerplexity(metric) ? 'lowers its perplexity from' : 'lifts the full model from';
  if (outcome === 'worked') return `Offsite-tuning worked on ${task}: the adapter ${verb} ${change}`;
  if (plugInAboveFull.certainty === 'fails')
    return `Offsite-tuning did not work on ${task}: plugged in, the adapter makes the full model worse, ${change}`;
  if (plugInAboveEmulator.certainty === 'fails')
    return `Offsite-tuning did not work on ${task}: the fine-tuned emulator is better than the plugged-in model, so there is no reason to send the adapter back`;
  if (emulatorBelowFull.certainty === 'fails')
    return `Offsite-tuning did not work on ${task}: the emulator is better than the full model, so it gives the model away`;
  if (plugInAboveFull.certainty !== 'holds')
    return `Not shown to work on ${task}: with the adapter the full model goes from ${change}, and ${doubt(metric, plugInAboveFull)}`;
  if (plugInAboveEmulator.certainty !== 'holds')
    return `The adapter ${verb} ${change} on ${task}, but plugging it in is not shown to beat the fine-tuned emulator: ${doubt(metric, plugInAboveEmulator)}`;
  return `The adapter ${verb} ${change} on ${task}, but the emulator is not shown to be worse than the full model: ${doubt(metric, emulatorBelowFull)}`;
}

/** Why a difference decides nothing. */
function doubt(metric: string, comparison: Comparison): string {
  const { lead, stderr, low, high, certainty, few } = comparison;
  if (few !== undefined) return `there are too few rows to decide it: ${few}`;
  if (isNone(comparison)) return 'the difference or its interval is not a number';
  if (lead === 0 && stderr === 0) return 'the two are equal on these rows';
  return certainty === 'within'
    ? `the difference is within the standard error (${spread(metric, stderr, true)})`
    : `the 95% interval of the difference (${signed(metric, low)} to ${signed(metric, high)}) includes zero${lead < 0 ? ', on the wrong side' : ''}`;
}

const certaintySentences: Readonly<Record<Certainty, string>> = {
  holds: 'The interval excludes zero.',
  leans: 'It points the right way, but the interval includes zero.',
  within: 'Not decided: the difference is within the standard error.',
  leansAgainst: 'It points the wrong way, but the interval includes zero.',
  fails: 'It is the other way round, and the interval excludes zero.',
};

/** How sure a difference is, as a sentence. */
export function certaintySentence(comparison: Comparison): string {
  const { lead, stderr, certainty, few } = comparison;
  if (few !== undefined) return `Not decided: ${few}.`;
  if (isNone(comparison)) return 'Not decided: the difference or its interval is not a number.';
  return lead === 0 && stderr === 0
    ? 'Not decided: the two are equal on these rows.'
    : certaintySentences[certainty];
}
