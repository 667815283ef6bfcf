// The outcome of a training: the adapter as an artifact, and what the stage reports of it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openArtifact, type Sealing, seal, type Work } from '../artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../checkpoint/index.ts';
import type { TaskData } from '../evaluation/index.ts';
import type { Evaluation, TrainingState } from '../training/index.ts';

export interface TuneResult {
  artifact: { digest: string; sizeBytes: number };
  training: Record<string, number | string>;
  validation?: Validation;
}

interface Validation {
  metric: string;
  samples: number;
  cells: Record<'emulatorZeroShot' | 'emulatorFineTuned', Record<'value' | 'stderr', string>>;
}

/** What an adapter's manifest says of it. */
type Scores = { bestStep: number } & (Validation | Record<never, never>);

/** A training that has come to its end. */
export interface TrainedAdapter {
  state: TrainingState;
  /** Of the whole training. */
  steps: number;
  validation: TaskData | undefined;
  /** What the adapter holds beside its tensors, by file name. */
  adapterFiles: Record<string, string>;
  work: Work;
}

/**
 * Writes the adapter whole or not at all: its tensors at the best step, and what other tools want beside them.
 * @param sealing what holds while it is sealed
 * @returns its digest
 */
export async function writeAdapter(
  output: string,
  { state, work, validation, adapterFiles }: TrainedAdapter,
  sealing: Omit<Sealing, 'fill'>,
): Promise<string> {
  const { record, tensors } = state;
  const fill = (directory: string) => {
    writeSafetensors(
      join(directory, 'adapter.safetensors'),
      tensors.map(({ name, shape, best }) => ({
        name,
        shape,
        dtype: 'F32' as const,
        bytes: () => encodeFloats(best, 'F32'),
      })),
    );
    for (const [name, text] of Object.entries(adapterFiles)) writeFileSync(join(directory, name), text);
    const cells = cellsOf(record.evaluations, record.bestStep);
    const scores: Scores = {
      bestStep: record.bestStep,
      ...(validation && cells
        ? { metric: validation.metric, samples: validation.examples.length, cells }
        : {}),
    };
    return scores;
  };
  const { digest } = await seal(output, work, { ...sealing, fill });
  return digest;
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
 */
export function resultOf(
  output: string,
  { state: { record }, steps }: TrainedAdapter,
  tokensPerSecond: number,
): TuneResult {
  const { digest, sizeBytes, manifest } = openArtifact(output, { kind: 'Adapter' });
  const { bestStep, ...validation } = manifest.scores as unknown as Scores;
  const best = record.evaluations.find(({ step }) => step === bestStep && step > 0);
  return {
    artifact: { digest, sizeBytes },
    training: {
      steps,
      bestStep,
      ...(record.losses.length > 0
        ? {
            tokens: record.tokens,
            firstLoss: (record.losses[0] as number).toFixed(4),
            lastLoss: (record.losses.at(-1) as number).toFixed(4),
          }
        : {}),
      ...(best ? { validationLoss: best.loss.toFixed(4) } : {}),
      ...(tokensPerSecond > 0 ? { tokensPerSecond: tokensPerSecond.toFixed(0) } : {}),
      ...(record.losses.length > 0 ? { resumes: record.resumes } : {}),
    },
    ...('cells' in validation ? { validation: inOrder(validation) } : {}),
  };
}

/** As people read it; a manifest's keys are sorted. */
const inOrder = ({
  metric,
  samples,
  cells: { emulatorZeroShot, emulatorFineTuned },
}: Validation): Validation => ({ metric, samples, cells: { emulatorZeroShot, emulatorFineTuned } });
