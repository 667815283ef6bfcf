// The report's words on what an adapter may tell of its rows: what is promised of it, and what attacks found.
import type { AuditStatus, PrivacyStatus } from '../../api/index.ts';
import { grouped, share, significant } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { facts, table } from '../parts.ts';
import type { TuneEntry } from '../record.ts';

/** Guarantee and audit; nothing where neither was asked for. */
export function privacyPart({ status: { training, audit } }: TuneEntry): Html | undefined {
  const privacy = training?.privacy;
  if (privacy === undefined && audit === undefined) return undefined;
  return html`<h3>Privacy of rows</h3>
${privacy && promise(privacy)}${audit && found(audit)}`;
}

function promise({ epsilon, delta, noiseMultiplier, clipNorm, samplingRate, ...rows }: PrivacyStatus): Html {
  return html`<p>Trained with row-level DP-SGD, epsilon = ${epsilon} at delta = ${delta} under Poisson sampling, RDP accountant; tuning runs not included.</p>
${facts([
  ['Noise multiplier', noiseMultiplier],
  ['Largest norm of a row', clipNorm],
  ['Sampling rate', significant(Number(samplingRate))],
  ['Rows clipped', rows.clipped && share(rows.clipped)],
  [
    'Gradients of rows that counted as zero',
    rows.notFinite === undefined ? undefined : grouped(rows.notFinite),
  ],
])}<p class="soft">It is of this one run and of one row, there or not: which of two texts a row was has twice epsilon and who has k rows in the data about k times epsilon, each at a far larger delta, and another run on the same rows costs its own. It holds for the adapter; losses, cells, what became of rows' gradients and the audit on this page are of the private rows, and nothing hides them.</p>`;
}

/** One more of so few rows is above all others more often than 1 % of the time. */
const chanceOf = (nonMembers: number): number => Math.max(0.01, 1 / (nonMembers + 1));

function found({ membership, canaries }: AuditStatus): Html {
  if (membership === undefined && canaries === undefined)
    return html`<p class="soft">The audit that was asked for has compared nothing: the training rows, or the validation rows that are not among them, have no token to predict by the emulator's tokenizer (the run's warnings say which).</p>`;
  const row = (
    what: string,
    { value, low, high }: { value: string; low: string; high: string },
    chance: string,
    write: (value: string) => string,
  ) => [what, write(value), `${write(low)} to ${write(high)}`, chance];
  const fraction = (value: string) => Number(value).toFixed(3);
  return html`${table({
    caption: 'What attacks on the tuned emulator find of the rows',
    columns: [
      { title: 'attack' },
      { title: 'value', number: true },
      { title: '95% interval', number: true },
      { title: 'chance', number: true },
    ],
    rows: [
      ...(membership
        ? [
            row('membership: area under the curve', membership.auc, '0.500', fraction),
            row(
              'membership: training rows recognised at 1% false positives',
              membership.tpr,
              share(chanceOf(membership.nonMembers)),
              share,
            ),
          ]
        : []),
      ...(canaries
        ? [
            row(
              `canaries: exposure in bits, of at most ${fraction(canaries.most)}`,
              canaries.exposure,
              fraction(canaries.chance),
              fraction,
            ),
          ]
        : []),
    ],
  })}<p class="soft">${membership && html`Membership: ${grouped(membership.members)} training rows against ${grouped(membership.nonMembers)} validation rows, told apart by how much tuning lowered the loss of their answers${membership.doubts && html`; ${membership.doubts}`}. `}${canaries && html`Canaries: ${grouped(canaries.canaries)} rows of random tokens that were trained on, each ranked among ${grouped(canaries.candidates)} that were not. `}These attacks with this emulator found this much; another attack may find more.</p>`;
}
