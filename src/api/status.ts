// What the statuses of all kinds are made of.
import { z } from 'zod';
import { integer } from './fields.ts';
import { distinct } from './rules.ts';

export const figure = z.string().max(32);
export const words = z.string().max(1024);
export const name = z.string().max(64);
const time = z.iso.datetime({ offset: true }).max(40);
export const count = integer(0, Number.MAX_SAFE_INTEGER);
export const layer = integer(0, 1023);
export const layers = z.array(layer).max(1024);

const Condition = z.object({
  type: name.describe('Suspended, Complete, Failed and others.'),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: name.describe('One word for scripts, such as BadData.'),
  message: z.string().max(32768).describe('What happened, which field or file, and what is right.'),
  lastTransitionTime: time.describe('When status last changed.'),
  observedGeneration: count.optional().describe('The generation of the spec that this is about.'),
});
export type Condition = z.output<typeof Condition>;

export const phases = ['Pending', 'Running', 'Suspended', 'Complete', 'Failed'] as const;

const Progress = z.object({
  stage: name.optional().describe('probe, assemble, tune or plug.'),
  progressPercentage: integer(0, 100).optional(),
  estimatedRemainingSeconds: count.optional(),
  metrics: distinct(z.array(z.object({ name, value: figure })).max(64), 'name')
    .optional()
    .describe('The latest figures, such as loss and tokensPerSecond.'),
  lastUpdatedTime: time.optional(),
});
export type Progress = z.output<typeof Progress>;

const Artifact = z.object({
  uri: words,
  digest: z.string().max(71).describe("sha256 of the artifact's manifest.json."),
  sizeBytes: count,
});
export type Artifact = z.output<typeof Artifact>;

export const ReadArtifact = z.object({ uri: words, digest: z.string().max(71) }).optional();

export const Cell = z.object({ value: figure, stderr: figure.describe('Standard error.') });
export type Cell = z.output<typeof Cell>;

export const Estimate = z.object({
  value: figure,
  stderr: figure.describe('Standard error.'),
  low: figure.describe('2.5% percentile of the bootstrap over rows.'),
  high: figure.describe('97.5% percentile.'),
});
export type Estimate = z.output<typeof Estimate>;

export const common = {
  phase: z.enum(phases).optional().describe('A summary of the conditions for people.'),
  conditions: distinct(z.array(Condition).max(32), 'type').optional(),
  observedGeneration: count.optional().describe('The generation of the spec that this status is about.'),
  startTime: time.optional(),
  completionTime: time.optional(),
  stage: name.optional().describe('The stage that is under way, or that failed.'),
  attempt: count
    .optional()
    .describe('How often the work was started: again after a changed spec, a resumption or a lost result.'),
  specHash: name
    .optional()
    .describe(
      "Of the result-relevant fields that the latest attempt is about; its beginning is part of its Jobs' names.",
    ),
  progress: Progress.optional(),
  artifact: Artifact.optional().describe('What was made.'),
};
