// The report's part on a build that found its own way: each candidate with what it gives and gives away, and why one was chosen.
import { type AutoFound, wordsOfWay } from '../../api/index.ts';
import { share } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { figure, responsive, table } from '../parts.ts';
import { drawLite } from '../plots/draw.ts';
import { type FrontierPoint, frontierColours, frontierPlot } from '../plots/frontier.ts';

type Candidate = AutoFound['candidates'][number];

const verdicts: Readonly<Record<Candidate['verdict'], string>> = {
  chosen: 'chosen',
  fits: 'within the budgets',
  overLeak: 'keeps too many bits',
  overSize: 'too large',
  overExact: 'too much of it is exact',
};

/** The frontier; nothing where the way was given. @param leakAtMost the budget, as the spec has it */
export async function frontierPart(
  anchor: string,
  found: AutoFound | undefined,
  leakAtMost: string | undefined,
): Promise<Html | undefined> {
  if (found === undefined) return undefined;
  const { candidates, reason, rows, passes } = found;
  const points = candidates.flatMap(pointOf);
  const most = 100 * Number(leakAtMost ?? 1);
  const plot = await responsive(`${anchor}-frontier`, (width, id) =>
    drawLite(frontierPlot(points, { width, leakAtMost: most }), {
      ...{ id, title: 'What candidates give and give away', text: reason },
    }),
  );
  return html`<h3 id="${anchor}-frontier-h">How it was chosen</h3><p><strong>${reason}</strong></p>${figure(
    plot,
    {
      title: 'Candidates',
      caption: `Each candidate that size and exact share allow, on ${rows} rows of the probe: to the right it gives more away, further up its gradient is more nearly the full model's of all maps. Chosen is the highest left of the dashed budget. It took ${passes} passes over the probe's rows.`,
      legend: [
        { colour: frontierColours.chosen, shape: 'diamond', text: 'chosen' },
        { colour: frontierColours.fits, shape: 'circle', text: 'within the budgets' },
        { colour: frontierColours.over, shape: 'square', text: 'beyond a budget' },
      ],
    },
  )}<details><summary>The ${candidates.length} candidates as numbers</summary>${table({
    caption: 'What each candidate gives and gives away',
    columns: [
      { title: 'candidate' },
      { title: 'bits kept', number: true },
      { title: 'as sealed', number: true },
      { title: 'size', number: true },
      { title: 'exact', number: true },
      { title: 'agreement', number: true },
      { title: 'at the start', number: true },
      { title: 'of what trains', number: true },
      { title: '' },
    ],
    rows: candidates.map((candidate) => [
      wordsOfWay(candidate),
      candidate.bitsKept && bitsOf(candidate.bitsKept),
      candidate.sealedBitsKept && bitsOf(candidate.sealedBitsKept),
      share(candidate.sizeShare),
      share(candidate.exactParameterShare),
      candidate.agreement,
      candidate.agreementAtStart,
      candidate.agreementTrained,
      verdicts[candidate.verdict],
    ]),
  })}</details>
<p class="soft">Bits kept are of the untuned emulator, as sealed those after a refining, where the spec asks for one, and in the numbers that the bundle stores; what tuning it recovers, a leak test tells. Agreement is the cosine of its gradient of what trains and the full model's of all maps, on a few public rows, after a few steps: no promise of what an adapter gains.</p>`;
}

/** Nothing of a candidate that was ruled out before it was measured. */
function pointOf({ bitsKept, agreement, verdict }: Candidate): FrontierPoint[] {
  if (bitsKept === undefined || agreement === undefined) return [];
  const standing = verdict === 'chosen' || verdict === 'fits' ? verdict : 'over';
  return [{ bitsKept: 100 * Number(bitsKept.value), agreement: Number(agreement), standing }];
}

/** How far below nothing an emulator is says nothing; what it is without the one row that outweighs all others does. */
function bitsOf({ value, stderr, withoutOneRow }: NonNullable<Candidate['bitsKept']>): string {
  const error = stderr === undefined ? '' : ` ± ${(100 * Number(stderr)).toFixed(1)}`;
  const bits = Number(value) < -1 ? 'below -100%' : `${share(value)}${error}`;
  const without = withoutOneRow === undefined || Number(withoutOneRow) < -1 ? undefined : withoutOneRow;
  return without === undefined ? bits : `${bits} (${share(without)} without one row)`;
}
