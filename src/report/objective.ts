// A training's objective in a reader's words: what was lowered, and what its loss is a mean of.
import type { OffsiteTuneSpec } from '../api/index.ts';

type Objective = OffsiteTuneSpec['objective'];

/** The type with the settings that the spec has, as it writes them; undefined for the usual one. */
export function objectiveWords(objective: Objective): string | undefined {
  if (objective === undefined) return undefined;
  const { type, ...settings } = objective;
  const set = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  return [type, ...set].join(', ');
}

/** What the loss is, for a caption. */
export const lossMeaning = (objective: Objective): string =>
  (objective?.type ?? 'sft') === 'sft'
    ? "Mean negative log-likelihood of an answer's token, in nats."
    : `Mean of the pairs' loss (${objective!.type}).`;
