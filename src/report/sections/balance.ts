// What was gained and what was given away, in a few figures where a reader looks first.
import { type EmulatorBuildStatus, isJudged, type TaskResult } from '../../api/index.ts';
import { grouped, quality, share, signed } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { facts } from '../parts.ts';
import type { BuildEntry, ReportRecord } from '../record.ts';

/** Of a run with one evaluation that judges, or one bundle; of several each section says its own. */
export function balance({ plugIns, builds }: ReportRecord): Html | undefined {
  const results = plugIns
    .flatMap(({ status }) => status.evaluation ?? [])
    .filter(({ metric }) => isJudged(metric));
  const pairs = [
    ...(results.length === 1 ? gained(results[0]!) : []),
    ...(builds.length === 1 ? given(builds[0]!) : []),
  ];
  return pairs.length === 0 ? undefined : html`<div id="balance">${facts(pairs)}</div>`;
}

type LeakTest = NonNullable<NonNullable<EmulatorBuildStatus['scores']>['leakTest']>;
type Fact = readonly [string, string | undefined];

function gained({ task, metric, cells }: TaskResult): Fact[] {
  const tuned = quality(metric, cells.emulatorFineTuned.value);
  // In the metric's own direction, as the figures beside it: of perplexity what is below 0 is better.
  const difference = Number(cells.emulatorFineTuned.value) - Number(cells.fullZeroShot.value);
  return [
    [
      `Full model on ${task}`,
      `${quality(metric, cells.fullZeroShot.value)}, with the adapter ${quality(metric, cells.plugIn.value)}`,
    ],
    [
      'Emulator, tuned on the same rows',
      `${tuned} (${signed(metric, difference)} to the untuned full model)`,
    ],
  ];
}

/** Before anybody tunes it; the leak measures where they were asked for. */
function given({ status: { scores } }: BuildEntry): Fact[] {
  const { leak, leakTest } = scores ?? {};
  const exact =
    leak === undefined
      ? scores?.exactTensorShare && `${share(scores.exactTensorShare)} of its tensors`
      : `${share(leak.exactParameterShare)} of its parameters`;
  return [
    ['Of the model, the bundle holds exactly', exact],
    ['Bits kept, untuned', leak?.bitsKept && share(leak.bitsKept.value)],
    ['Half of the model, by an attack', leakTest?.halfway && reached(leakTest)],
  ];
}

/** By how many tokens of tuning, or that the budgets did not suffice. */
function reached({ points, reachedAt }: LeakTest): string {
  if (reachedAt === 0) return 'without any tuning';
  return reachedAt === undefined
    ? `not within ${grouped(points.at(-1)?.tokens ?? 0)} tokens`
    : `within ${grouped(reachedAt)} tokens`;
}
