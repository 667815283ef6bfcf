// The audit of an adapter: what the tuned emulator tells of the rows, by the attacks that the spec asks for.
import { join } from 'node:path';
import { type Audit, type AuditStatus, badData } from '../../api/index.ts';
import { openArtifact } from '../../artifact/index.ts';
import { openCheckpoint } from '../../checkpoint/index.ts';
import { type Example, hasTargets } from '../../data/index.ts';
import { type Likelihoods, likelihoodsOf, packForModel, rowLosses } from '../../evaluation/index.ts';
import type { Architecture, Decoder } from '../../model/index.ts';
import type { Emit } from '../../progress/index.ts';
import type { TrainedTensor } from '../../training/index.ts';
import { exposureOf, ranked } from './canaries.ts';
import { membershipOf, notAmong, someRows } from './membership.ts';
import type { Interval } from './statistics.ts';

export interface Audited {
  readonly architecture: Architecture;
  /** The emulator as it was before the training, and with what the adapter holds; each runs until the other is asked for. */
  before(): Decoder;
  after(): Decoder;
  /** The data's own rows, and the validation rows. */
  readonly rows: readonly Example[];
  readonly validation: readonly Example[] | undefined;
  /** `training.seed` and `training.maxLength`. */
  readonly seed: number;
  readonly maxLength: number;
  /** Bytes that the stage was given. */
  readonly memory: number;
  readonly emit: Emit;
  /** Whether a row on which the emulator computes no number counts as one that tuning changed by nothing, and ends no audit. */
  readonly takesNaN: boolean;
}

/**
 * Puts what a sealed adapter holds into the tensors that train.
 * @throws OffsiteError BadModel where another one than that of the digest lies there
 */
export function takeSealed(
  { output, digest }: { output: string; digest: string },
  tensors: readonly TrainedTensor[],
): void {
  const { checked } = openArtifact(output, { kind: 'Adapter', digest });
  const checkpoint = openCheckpoint(join(output, 'adapter.safetensors'), checked);
  try {
    for (const { name, values } of tensors) checkpoint.read(name, { into: values });
  } finally {
    checkpoint.close();
  }
}

/**
 * Asked before anything is trained. Where rows are hidden nothing ends by it: which rows are alike follows from the emulator's
 * tokenizer, and that no adapter comes would tell of them.
 * @throws OffsiteError BadData where membership is to be told from rows that are all trained on
 */
export function checkAuditable(
  { membership }: Audit,
  { rows, validation }: Pick<Audited, 'rows' | 'validation'>,
  { isHidden, emit }: { isHidden: boolean; emit: Emit },
): void {
  if (membership === undefined || validation === undefined) return;
  if (notAmong(validation.filter(hasTargets), rows).length > 0) return;
  const none =
    'spec.data.validation: all of its rows with a token to predict are training rows too, so that spec.audit.membership has none to tell them from; name rows of the same source that are not trained on';
  if (!isHidden) throw badData(none);
  emit({
    type: 'warning',
    reason: 'NoMembershipAudit',
    message: `${none}, or ask who made the emulator what its tokenizer makes of them`,
  });
}

/**
 * Runs the attacks: each compares the emulator as it was with the tuned one, as whoever had it could.
 * @throws OffsiteError Cancelled between two blocks
 */
export async function audit({ membership, canaries }: Audit, audited: Audited): Promise<AuditStatus> {
  const { seed, architecture } = audited;
  const rows = audited.rows.filter(hasTargets);
  const validation = audited.validation?.filter(hasTargets);
  const found: AuditStatus = {};
  const unseen = validation === undefined ? [] : notAmong(validation, rows);
  // Of rows that are hidden there may be none to compare, and the audit goes without.
  if (membership !== undefined && validation !== undefined && rows.length > 0 && unseen.length > 0) {
    const { limit } = membership;
    const members = await lowered(someRows(rows, { limit, seed, set: 0 }), audited);
    const others = await lowered(someRows(unseen, { limit, seed, set: 1 }), audited);
    const { auc, tpr, ...rest } = membershipOf(members, others, validation.length - unseen.length);
    found.membership = { ...rest, auc: figures(auc), tpr: figures(tpr) };
  }
  if (canaries !== undefined) {
    const { vocabulary } = architecture;
    const gains = await gained(ranked({ ...canaries, seed, vocabulary }), audited);
    const { exposure, chance, most, ...rest } = exposureOf(gains);
    found.canaries = {
      ...rest,
      exposure: figures(exposure),
      chance: chance.toFixed(4),
      most: most.toFixed(4),
    };
  }
  return found;
}

/** How much tuning lowered the mean loss of each row's answer, in nats. */
async function lowered(examples: readonly Example[], audited: Audited): Promise<number[]> {
  const [before, after] = await bothLikelihoods(examples, audited);
  const losses = [...rowLosses(before, examples)];
  return Array.from(rowLosses(after, examples), ({ loss, tokens }, i) =>
    tokens === 0 ? 0 : orNothing((losses[i]!.loss - loss) / tokens),
  );
}

/** How much likelier tuning made each of a row's branches, in nats. */
async function gained(examples: readonly Example[], audited: Audited): Promise<number[][]> {
  const [first, second] = await bothLikelihoods(examples, audited);
  const before = [...first];
  return Array.from(second, ({ logLikelihood }, i) =>
    logLikelihood.slice(1).map((value, branch) => orNothing(value - before[i]!.logLikelihood[branch + 1]!)),
  );
}

async function bothLikelihoods(
  examples: readonly Example[],
  { architecture, before, after, maxLength, memory, emit, takesNaN }: Audited,
) {
  // Hidden rows train each alone: what overflows beside one, padding too, must not take it out of the audit.
  const batches = takesNaN
    ? examples.flatMap((row) => packForModel([row], architecture, { maxLength, memory }))
    : packForModel(examples, architecture, { maxLength, memory });
  const of = (decoder: Decoder) =>
    likelihoodsOf(
      decoder,
      { batches, metric: 'perplexity' },
      { memory: memory / 2, stage: 'audit', emit, takesNaN },
    );
  const both = [await of(before()), await of(after())] as const;
  warnOfRowsWithout(both, emit);
  return both;
}

/** Of rows of which the attack was told nothing: what it found may be too little. */
function warnOfRowsWithout(both: readonly Likelihoods[], emit: Emit): void {
  const without = new Set(
    both
      .flatMap((found) => [...found])
      .flatMap(({ row, logLikelihood }) => (logLikelihood.some(Number.isNaN) ? [row] : [])),
  );
  if (without.size === 0) return;
  emit({
    type: 'warning',
    reason: 'RowsCountedAsZero',
    message: `spec.audit: the emulator gives ${without.size} of ${both[0]!.length} rows a score that is no number; the attack takes them as changed by nothing, so that it may have found too little`,
  });
}

const orNothing = (gain: number): number => (Number.isNaN(gain) ? 0 : gain);

const figures = ({ value, low, high }: Interval) => ({
  value: value.toFixed(4),
  low: low.toFixed(4),
  high: high.toFixed(4),
});
