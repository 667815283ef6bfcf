// The report's table of what a bundle gives away before anybody tunes it.
import type { EmulatorBuildStatus, Estimate } from '../../api/index.ts';
import { metricTitle, quality, share, spread } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { table } from '../parts.ts';

type Scores = NonNullable<EmulatorBuildStatus['scores']>;

/** The leak measures with their errors; nothing where they were not asked for. */
export function leakPart(anchor: string, scores: Scores | undefined): Html | undefined {
  if (scores?.leak === undefined) return undefined;
  const { samples } = scores;
  return html`<h3 id="${anchor}-leak">What the bundle gives away</h3>
${table({
  caption: `Leak before tuning${samples === undefined ? '' : `, on ${samples} rows`}`,
  columns: [
    { title: '' },
    { title: 'value', number: true },
    { title: 'standard error', number: true },
    { title: '95% interval', number: true },
  ],
  rows: [...qualities(scores), ...shares(scores)],
})}<p class="soft">Bits kept: of what the model saves of a unigram model in likelihood per token, the share that the emulator saves too; greedy agreement: the share of tokens at which both would choose the same next one. The control has the emulator's shape and random weights. The lower a share, the less is given away.</p>
<p><strong>Not claimed</strong>: these are measurements and no guarantee by cryptography; the emulator is a function of the model, it may be tuned, and what an attack with more rows and more computing than were tried recovers is not bounded.</p>`;
}

type Row = readonly (string | undefined)[];

function qualities({ metric, full, emulator, leak }: Scores): Row[] {
  if (metric === undefined) return [];
  const cells = [
    ['full model, untuned', full],
    ['emulator, untuned', emulator],
    ['random control', leak?.control],
  ] as const;
  return cells.flatMap(([name, cell]) =>
    cell === undefined
      ? []
      : [
          [
            `${metricTitle(metric)}: ${name}`,
            quality(metric, cell.value),
            spread(metric, cell.stderr, true),
            '',
          ],
        ],
  );
}

function shares({ metric, exactTensorShare, leak }: Scores): Row[] {
  const { correctedCpl, bitsKept, greedyAgreement } = leak!;
  const measured =
    metric === undefined
      ? []
      : [
          estimate('ability kept over the control (corrected CPL)', correctedCpl),
          estimate('bits kept', bitsKept),
          estimate('greedy agreement', greedyAgreement),
        ];
  const counted = [
    ['tensors held exactly', exactTensorShare],
    ['parameters held exactly', leak!.exactParameterShare],
    ['subspace share of all matrices', leak!.subspaceShare],
    ['subspace share of the layers alone', leak!.layerSubspaceShare],
  ] as const;
  return [
    ...measured,
    ...counted.flatMap(([name, value]) => (value === undefined ? [] : [[name, share(value), '', '']])),
  ];
}

/** One that is absent could not be told: the full model is not better than what the share is counted from. */
const estimate = (name: string, found: Estimate | undefined): Row =>
  found === undefined
    ? [name, 'not told: here the model is no better than what knows nothing', '', '']
    : [
        name,
        share(found.value),
        `${(100 * Number(found.stderr)).toFixed(1)} points`,
        `${share(found.low)} to ${share(found.high)}`,
      ];
