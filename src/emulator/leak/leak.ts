// What a bundle gives away before anybody tunes it: its emulator's ability and its agreement with the full model, from rows.
import {
  bootstrap,
  type Cell,
  type Estimate,
  type Likelihoods,
  measurementOf,
  rowLosses,
  type TaskData,
} from '../../evaluation/index.ts';
import { shareOfGain } from './ability.ts';
import { lossTokens, type Unigram } from './unigram.ts';

/** What a model says of the held-out rows. */
export interface Said {
  readonly likelihoods: Likelihoods;
  /** The token that greedy decoding chooses at each target, in the order of the task's batches. */
  readonly greedyTokens: Int32Array;
}

/** What is counted of the rows for a bundle; a share is absent where the full model is not told from what it is counted from. */
export interface RowLeak {
  /** The quality of a model of the emulator's shape with random weights. */
  readonly control: Cell;
  /** CPL counted from the control: 0 is the control's ability, 1 the full model's. */
  readonly correctedCpl?: Estimate;
  /** The share of the nats a token that the full model saves over a unigram model which the emulator saves too. */
  readonly bitsKept?: Estimate;
  /** The share of the target tokens at which emulator and full model would choose the same token. */
  readonly greedyAgreement?: Estimate;
}

export interface RowLeakInput {
  readonly task: TaskData;
  readonly full: Said;
  readonly emulator: Said;
  readonly control: Likelihoods;
  /** Of the probe's rows. */
  readonly unigram: Unigram;
  /** Called before each resample, to stop by throwing. */
  readonly stopIfAsked?: () => void;
}

/** The measures of held-out rows; their errors are of rows drawn together for all models. */
export function rowLeak({
  task,
  full,
  emulator,
  control,
  unigram,
  stopIfAsked: beforeEach,
}: RowLeakInput): RowLeak {
  const random = measurementOf(control, task);
  const scores = [emulator, full].map(({ likelihoods }) => measurementOf(likelihoods, task).scores);
  const [ofEmulator, ofFull] = scores as [(typeof scores)[number], (typeof scores)[number]];
  const quality = Array.from(ofFull.values, (value, i) => [
    ofFull.weights[i]!,
    value,
    ofEmulator.values[i]!,
    random.scores.values[i]!,
  ]);
  // of a perplexity, the likelihood of a token in the geometric mean
  const ability = (value: number, weight: number) =>
    task.metric === 'perplexity' ? Math.exp(-value / weight) : value / weight;
  const correctedCpl = bootstrap(
    quality,
    ([weight, ...values]) => {
      const [full, emulator, nothing] = values.map((value) => ability(value, weight!));
      return shareOfGain({ full: full!, emulator: emulator!, nothing: nothing! });
    },
    { beforeEach },
  );
  const bitsKept = bootstrap(
    losses(task, { full, emulator }, unigram),
    ([full, emulator, nothing]) => shareOfGain({ full: -full!, emulator: -emulator!, nothing: -nothing! }),
    { beforeEach },
  );
  const greedyAgreement = bootstrap(
    agreements(task, full.greedyTokens, emulator.greedyTokens),
    ([equal, all]) => (all === 0 ? undefined : equal! / all!),
    { beforeEach },
  );
  return {
    control: finite(random.cell),
    ...(correctedCpl && { correctedCpl }),
    ...(bitsKept && { bitsKept }),
    ...(greedyAgreement && { greedyAgreement }),
  };
}

/** A random model may be surer of what is wrong than a float can say, and JSON knows no infinity. */
const finite = ({ value, stderr }: Cell): Cell => ({
  value: Math.min(value, Number.MAX_VALUE),
  stderr: Math.min(stderr, Number.MAX_VALUE),
});

/** Each row's loss by full model, emulator and unigram model, summed over its tokens. */
function losses(
  task: TaskData,
  { full, emulator }: Pick<RowLeakInput, 'full' | 'emulator'>,
  unigram: Unigram,
): number[][] {
  const unigrams = new Map<number, number>();
  for (const { row, token } of lossTokens(task)) unigrams.set(row, (unigrams.get(row) ?? 0) + unigram(token));
  const own = [...rowLosses(emulator.likelihoods, task.examples)];
  return Array.from(rowLosses(full.likelihoods, task.examples), ({ row, loss }, i) => [
    loss,
    own[i]!.loss,
    unigrams.get(row) ?? 0,
  ]);
}

/** Of each row, at how many targets both choose the same token, and its targets. */
function agreements({ batches }: TaskData, a: Int32Array, b: Int32Array): number[][] {
  const byRow = new Map<number, [number, number]>();
  let at = 0;
  for (const { targets } of batches)
    for (const { row } of targets) {
      const counts = byRow.get(row) ?? [0, 0];
      byRow.set(row, counts);
      counts[0] += Number(a[at] === b[at]);
      counts[1] += 1;
      at++;
    }
  return [...byRow.values()];
}
