// The choice among candidates: within the budgets, the one whose gradient agrees most with the full model's.
import { badSpec, type Way, wordsOfWay } from '../../api/index.ts';

/** What may be given away at most. */
export interface Budgets {
  /** Bits kept of the untuned emulator. */
  readonly leakAtMost: number;
  /** Bytes of the bundle's tensors, of the model's. */
  readonly sizeAtMost: number;
  /** Parameters held bit by bit, of the model's; no bound when absent. */
  readonly exactAtMost?: number | undefined;
}

/** What is counted of a candidate before anything is run. */
export interface Counted {
  readonly way: Way;
  readonly sizeShare: number;
  readonly exactParameterShare: number;
}

/** The share of the bits, with its standard error over rows, where there is one. */
export interface BitsKept {
  readonly value: number;
  readonly stderr?: number | undefined;
  /** The most that it is when any one row is left out: a row on which an emulator fails wholly hides what it keeps on all others. */
  readonly withoutOne?: number | undefined;
}

/** Fewer bits kept than these are told as these, without an error. */
export const leastBits = -1e6;

/** What a candidate gives away and what it teaches. */
export interface Figures {
  /** As it is derived with all others: before it is refined, and before it is rounded to what is stored. */
  readonly bitsKept: BitsKept;
  /**
   * The cosine, after some public steps, of its gradient of what the data owner would train and the full model's gradient of all maps: how
   * truly it points, and how much of what the full model would change it can.
   */
  readonly agreement: number;
  /** The same before any step. */
  readonly agreementAtStart: number;
  /** The cosine, after these steps, over what the data owner would train alone. */
  readonly agreementTrained: number;
}

/** The figures are missing where the candidate was ruled out before. */
export type Candidate = Counted & {
  readonly figures?: Figures | undefined;
  /** The bits kept of what would be sealed of it; known of those that were to be chosen. */
  readonly sealed?: BitsKept | undefined;
};

export type Verdict = 'fits' | 'overSize' | 'overExact' | 'overLeak';

/** Whether a candidate keeps the budgets that need no measurement. */
export function countedVerdict(
  { sizeShare, exactParameterShare }: Counted,
  { sizeAtMost, exactAtMost = 1 }: Budgets,
): Verdict {
  if (sizeShare > sizeAtMost) return 'overSize';
  return exactParameterShare > exactAtMost ? 'overExact' : 'fits';
}

/** Whether a candidate keeps the budgets, and else the first that it does not. */
export function verdictOf(candidate: Candidate, budgets: Budgets): Verdict {
  const counted = countedVerdict(candidate, budgets);
  if (counted !== 'fits') return counted;
  const { figures, sealed } = candidate;
  if (figures === undefined) throw new Error(`${wordsOfWay(candidate.way)} was not measured`);
  const isOver = ({ value }: BitsKept) => value > budgets.leakAtMost;
  return isOver(figures.bitsKept) || (sealed !== undefined && isOver(sealed)) ? 'overLeak' : 'fits';
}

/** A candidate that keeps all budgets as it will be sealed. */
export type Chosen = Candidate & { readonly figures: Figures; readonly sealed: BitsKept };

/**
 * The choice among candidates whose bundles keep the budgets too: who would be chosen is made and measured as it would be sealed, and
 * where it keeps too much then, the next one is.
 * @param sealedOf makes what would be sealed of a candidate, and measures the bits that it keeps
 * @returns the chosen one, and all candidates with what is known of them now, itself among them
 * @throws OffsiteError BadSpec where none keeps the budgets; what `sealedOf` throws
 */
export async function chooseSealed(
  candidates: readonly Candidate[],
  budgets: Budgets,
  sealedOf: (candidate: Candidate) => Promise<BitsKept>,
): Promise<{ chosen: Chosen; candidates: readonly Candidate[] }> {
  let known = candidates;
  for (;;) {
    const best = choose(known, budgets);
    const { sealed } = best;
    if (sealed !== undefined) return { chosen: { ...best, sealed }, candidates: known };
    const found = { ...best, sealed: await sealedOf(best) };
    known = known.map((candidate) => (candidate === best ? found : candidate));
  }
}

/**
 * Of those that keep all budgets the one of the greatest agreement; of equal ones that which gives least away, by bits, then by size,
 * then the earliest.
 * @throws OffsiteError BadSpec with the nearest candidate's figures where none does
 */
export function choose(candidates: readonly Candidate[], budgets: Budgets): Candidate & { figures: Figures } {
  const fitting = candidates.filter(
    (candidate): candidate is Candidate & { figures: Figures } => verdictOf(candidate, budgets) === 'fits',
  );
  const [best] = fitting.toSorted(
    ({ figures: a, ...one }, { figures: b, ...other }) =>
      b.agreement - a.agreement || a.bitsKept.value - b.bitsKept.value || one.sizeShare - other.sizeShare,
  );
  if (best !== undefined) return best;
  refuseSealed(candidates, budgets);
  const nearest = candidates.toSorted((a, b) => excess(a, budgets) - excess(b, budgets))[0];
  if (nearest === undefined) throw badSpec('spec.auto: the model has too few layers for any candidate');
  throw badSpec(
    `spec.auto: no candidate has ${wordsOfBudgets(budgets)}; the nearest, ${wordsOfWay(nearest.way)}, has ${wordsOfFigures(nearest)}; allow as much, or build without auto`,
  );
}

/** @throws OffsiteError BadSpec where candidates kept the budgets until they were made */
function refuseSealed(candidates: readonly Candidate[], { leakAtMost }: Budgets): void {
  const made = candidates.flatMap(({ way, sealed }) => (sealed === undefined ? [] : [{ way, sealed }]));
  const [nearest] = made.toSorted((a, b) => a.sealed.value - b.sealed.value);
  if (nearest === undefined) return;
  const { way, sealed } = nearest;
  const error = sealed.stderr === undefined ? '' : ` ± ${sealed.stderr.toFixed(4)}`;
  throw badSpec(
    `spec.auto.leakAtMost: no candidate keeps at most ${leakAtMost} of the bits as it would be sealed, in the number format of the bundle and after spec.refine, where there is one; of ${made.length} that did before, the nearest, ${wordsOfWay(way)}, keeps ${shown(sealed.value)}${error}, and nothing was sealed; give spec.refine fewer steps, a lower learningRate or another type, or remove it, or allow as much`,
  );
}

/** Student's t for as much as two standard errors, by the degrees of freedom from 1 on; beyond, two. */
const studentsTwo = [13.97, 4.53, 3.31, 2.87, 2.65, 2.52, 2.43, 2.37, 2.32, 2.28];

/** How many errors of the bootstrap over so few rows, which are too small by sqrt((n-1)/n), are as much as two. */
const errorsOf = (rows: number): number =>
  rows < 2 ? Number.POSITIVE_INFINITY : (studentsTwo[rows - 2] ?? 2) * Math.sqrt(rows / (rows - 1));

/**
 * Why a chosen candidate may give away more than it was allowed: it was told by few rows, or by one. Undefined where two standard
 * errors more (by Student's t), and what it is without any one row, would be within the budget too, or where it allows all that the model does. Where
 * no error can be told, of one row or of rows on which the model is hardly better than the unigram model, it may be any.
 */
export function doubtOf(
  { value, stderr, withoutOne = value }: BitsKept,
  { leakAtMost }: Pick<Budgets, 'leakAtMost'>,
  rows: number,
): string | undefined {
  if (leakAtMost >= 1) return undefined;
  const isTold = stderr !== undefined || value <= leastBits;
  if (
    isTold &&
    Math.max(value + (stderr === undefined ? 0 : errorsOf(rows) * stderr), withoutOne) <= leakAtMost
  )
    return undefined;
  const error = stderr === undefined ? '' : ` ± ${stderr.toFixed(2)}`;
  const notes = [
    ...(isTold ? [] : ['which tell no error of it']),
    ...(withoutOne > leakAtMost ? [`and ${withoutOne.toFixed(2)} without one of them`] : []),
  ];
  return `spec.auto.leakAtMost: what was chosen keeps ${value.toFixed(2)}${error} of the bits on ${rows} ${rows === 1 ? 'row' : 'rows'}${notes.map((note) => `, ${note}`).join('')}, so it may keep more than ${leakAtMost}; a larger probe tells it better`;
}

/** Why the agreement that decided tells nothing: the best of all points nowhere, or away from the full model. Undefined where it tells. */
export function doubtOfAgreement({ agreement, agreementAtStart }: Figures): string | undefined {
  if (agreement > 0) return undefined;
  return `spec.auto: after some steps on the rows that were looked at, no candidate within the budgets has a gradient that agrees with the full model's (that of what was chosen: cosine ${agreement.toFixed(2)}; before the steps ${agreementAtStart.toFixed(2)}), so which of them teaches most is not told; other rows, or more of them, may tell it: compare status.auto.candidates`;
}

/** By how much the budgets are exceeded, together; who was not measured, for size or exact share, is farther than all that were. */
function excess(candidate: Candidate, { leakAtMost, sizeAtMost, exactAtMost = 1 }: Budgets): number {
  const over = (value: number, most: number) => Math.max(0, value - most);
  const { sizeShare, exactParameterShare, figures } = candidate;
  return (
    over(sizeShare, sizeAtMost) +
    over(exactParameterShare, exactAtMost) +
    (figures === undefined ? Number.MAX_SAFE_INTEGER : over(figures.bitsKept.value, leakAtMost))
  );
}

const wordsOfBudgets = ({ leakAtMost, sizeAtMost, exactAtMost }: Budgets): string =>
  [
    `at most ${leakAtMost} of the bits (leakAtMost)`,
    `${sizeAtMost} of the size (sizeAtMost)`,
    ...(exactAtMost === undefined ? [] : [`${exactAtMost} of the parameters exactly (exactAtMost)`]),
  ].join(', ');

const wordsOfFigures = ({ sizeShare, exactParameterShare, figures }: Candidate): string =>
  [
    figures === undefined ? 'bits that were not measured' : `${shown(figures.bitsKept.value)} of the bits`,
    `${shown(sizeShare)} of the size`,
    `${shown(exactParameterShare)} of the parameters exactly`,
  ].join(', ');

/** Rounded up, so that what is allowed as it is written suffices. */
const shown = (value: number): string => (Math.ceil(value * 1e4) / 1e4).toFixed(4);
