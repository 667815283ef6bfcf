// The report's part on a leak test: the recovery curve, and what is read off it.
import type { EmulatorBuildStatus } from '../../api/index.ts';
import { grouped, isPerplexity, metricTitle, quality, spread } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { figure, responsive, table } from '../parts.ts';
import { drawLite } from '../plots/draw.ts';
import { recoveryColours, recoveryPlot } from '../plots/recovery.ts';

type LeakTest = NonNullable<NonNullable<EmulatorBuildStatus['scores']>['leakTest']>;

/** What tuning the whole emulator gave; nothing where it was not tested. */
export async function recoveryPart(anchor: string, test: LeakTest | undefined): Promise<Html | undefined> {
  if (test === undefined) return undefined;
  const { metric, samples, full, points, halfway } = test;
  const unit = isPerplexity(metric) ? 1 : 100;
  const curve = (of: 'emulator' | 'control') =>
    points.map(({ tokens, [of]: { value, stderr } }) => {
      const [middle, error] = [unit * Number(value), unit * Number(stderr)];
      // A perplexity has no error that reaches below 1.
      const low = isPerplexity(metric) ? Math.max(1, middle - error) : middle - error;
      return { tokens, value: middle, low, high: middle + error };
    });
  const title = isPerplexity(metric) ? metricTitle(metric) : `${metricTitle(metric)} in %`;
  const plot = await responsive(`${anchor}-recovery`, (width, id) =>
    drawLite(
      recoveryPlot(
        {
          ...{ emulator: curve('emulator'), control: curve('control'), full: unit * Number(full.value) },
          halfway: halfway === undefined ? undefined : unit * Number(halfway),
        },
        { title, width, logarithmic: isPerplexity(metric) },
      ),
      { id, title: 'Recovery curve', text: verdict(test) },
    ),
  );
  const cell = ({ value, stderr }: { value: string; stderr: string }) =>
    `${quality(metric, value)} ± ${spread(metric, stderr)}`;
  return html`<h3 id="${anchor}-leak-test">What tuning makes of it</h3><p><strong>${verdict(test)}</strong></p>${figure(
    plot,
    {
      title: 'Recovery curve',
      caption: `The whole emulator and a control of its shape with random weights, both tuned on the same public rows and measured on ${grouped(samples)} others, with standard errors; leftmost: untuned. What other rows, rates or more tokens give was not tried.`,
      legend: [
        { colour: recoveryColours.emulator, shape: 'line', text: 'emulator' },
        { colour: recoveryColours.control, shape: 'line', text: 'random control' },
        { colour: recoveryColours.full, shape: 'line', text: 'full model, untuned' },
      ],
    },
  )}${table({
    caption: `${metricTitle(metric)} by tokens tuned on`,
    columns: [
      { title: 'tokens' },
      { title: 'emulator', number: true },
      { title: 'random control', number: true },
      { title: 'full model', number: true },
    ],
    rows: points.map(({ tokens, emulator, control }) => [
      tokens === 0 ? 'untuned' : grouped(tokens),
      ...[emulator, control, full].map(cell),
    ]),
  })}`;
}

function verdict({ points, halfway, reachedAt }: LeakTest): string {
  if (halfway === undefined)
    return 'Here the model is no better than a random control, so nothing can be told of what tuning recovers.';
  const half = "half of the model's ability over the untuned control";
  if (reachedAt === undefined)
    return `Within ${grouped(points.at(-1)?.tokens ?? 0)} tokens of tuning the emulator does not reach ${half}.`;
  return reachedAt === 0
    ? `Untuned, the emulator has ${half} already.`
    : `Within ${grouped(reachedAt)} tokens of tuning the emulator reaches ${half}.`;
}
