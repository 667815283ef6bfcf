// The outcome of a training: the adapter as an artifact, and what the stage reports of it.
import type { AuditStatus } from '../api/index.ts';
import {
  type Destination,
  openArtifact,
  type Sealing,
  seal,
  type Work,
  type WrittenFiles,
} from '../artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../checkpoint/index.ts';
import type { TaskData } from '../evaluation/index.ts';
import type { Evaluation, SparseChange, TrainingRecord, TrainingState } from '../training/index.ts';
import { lossesOfRows } from './history.ts';
import { figuresOf, type PrivacyPlan } from './privacy/index.ts';

export interface TuneResult {
  artifact: { digest: string; sizeBytes: number };
  training: Record<string, number | string | Record<string, string | number>>;
  validation?: Validation;
  audit?: AuditStatus;
}

interface Validation {
  metric: string;
  samples: number;
  cells: Record<'emulatorZeroShot' | 'emulatorFineTuned', Record<'value' | 'stderr', string>>;
}

/** What an adapter's manifest says of it. */
type Scores = { bestStep: number; unchanged?: string } & Partial<Validation>;

/** A training that has come to its end. */
export interface TrainedAdapter {
  state: TrainingState;
  /** Of the whole training. */
  steps: number;
  validation: TaskData | undefined;
  /** What the adapter holds beside its tensors, by file name. */
  adapterFiles: Record<string, string>;
  work: Work;
  /** What hides the rows; undefined where nothing does. */
  privacy?: PrivacyPlan | undefined;
  /** What drew the change to zero. */
  sparse?: SparseChange;
}

/**
 * Writes the adapter whole or not at all: its tensors at the best step, and what other tools want beside them.
 * @param checkUnchanged throws where what was read has been changed since
 * @returns its digest
 */
export async function writeAdapter(
  destination: Destination,
  { state, work, validation, adapterFiles, privacy, sparse }: TrainedAdapter,
  checkUnchanged: Sealing['checkUnchanged'],
): Promise<string> {
  const { record, tensors } = state;
  const fill = (files: WrittenFiles) => {
    const trained = tensors.map(({ name, shape, best }) => ({
      name,
      shape,
      dtype: 'F32' as const,
      bytes: () => encodeFloats(best, 'F32'),
    }));
    files.add('adapter.safetensors', (path) => writeSafetensors(path, trained));
    for (const [name, text] of Object.entries(adapterFiles)) files.write(name, text);
    // Nothing hides what was measured on private rows: an adapter that hides its rows says none of it.
    const scores: Scores = {
      bestStep: record.bestStep,
      ...(sparse && { unchanged: sparse.unchangedShare(tensors).toFixed(4) }),
      ...(privacy === undefined ? validationOf(record, validation) : {}),
    };
    return scores;
  };
  const { digest } = await seal(destination, work, { fill, checkUnchanged });
  return digest;
}

function validationOf(
  { evaluations, bestStep }: TrainingRecord,
  validation: TaskData | undefined,
): Validation | undefined {
  const cells = cellsOf(evaluations, bestStep);
  return validation && cells && { metric: validation.metric, samples: validation.examples.length, cells };
}

function cellsOf(evaluations: readonly Evaluation[], bestStep: number) {
  const text = (step: number) => {
    const found = evaluations.find((evaluation) => evaluation.step === step);
    return found && { value: found.cell.value.toFixed(4), stderr: found.cell.stderr.toFixed(4) };
  };
  const [emulatorZeroShot, emulatorFineTuned] = [text(0), text(bestStep)];
  return emulatorZeroShot && emulatorFineTuned && { emulatorZeroShot, emulatorFineTuned };
}

/**
 * What the stage reports of a written adapter. Where its checkpoints were cleared away since, the losses are gone, and what
 * the manifest says of it stays.
 * @throws OffsiteError BadModel where another lies at the output by now
 */
export function resultOf(
  { output, digest }: { output: string; digest: string },
  { state: { record }, steps, validation: task, privacy }: TrainedAdapter,
  tokensPerSecond: number,
): TuneResult {
  const { sizeBytes, manifest } = openArtifact(output, { kind: 'Adapter', digest });
  const { bestStep, unchanged, ...said } = manifest.scores as unknown as Scores;
  const validation = privacy === undefined ? said : validationOf(record, task);
  const best = record.evaluations.find(({ step }) => step === bestStep && step > 0);
  const losses = lossesOfRows(record.losses);
  return {
    artifact: { digest, sizeBytes },
    training: {
      steps,
      bestStep,
      ...(unchanged === undefined ? {} : { unchanged }),
      ...(record.losses.length > 0
        ? {
            tokens: record.tokens,
            ...(losses.length > 0
              ? { firstLoss: losses[0]!.toFixed(4), lastLoss: losses.at(-1)!.toFixed(4) }
              : {}),
          }
        : {}),
      ...(best ? { validationLoss: best.loss.toFixed(4) } : {}),
      ...(tokensPerSecond > 0 ? { tokensPerSecond: tokensPerSecond.toFixed(0) } : {}),
      ...(record.losses.length > 0 ? { resumes: record.resumes } : {}),
      ...(privacy && { privacy: { ...figuresOf(privacy), ...toldOfRows(record) } }),
    },
    ...(isWhole(validation) && { validation: inOrder(validation) }),
  };
}

const toldOfRows = ({ rows }: TrainingRecord) =>
  rows !== undefined && rows.taken > 0
    ? {
        clipped: (rows.clipped / rows.taken).toFixed(4),
        ...(rows.notFinite === undefined ? {} : { notFinite: rows.notFinite }),
      }
    : undefined;

const isWhole = (validation: Partial<Validation> | undefined): validation is Validation =>
  validation?.cells !== undefined;

/** As people read it; a manifest's keys are sorted. */
const inOrder = ({
  metric,
  samples,
  cells: { emulatorZeroShot, emulatorFineTuned },
}: Validation): Validation => ({ metric, samples, cells: { emulatorZeroShot, emulatorFineTuned } });
