// The report's part on several adapters that became one: what was taken of each party at each layer, and what each is worth.
import { isJudged, type PartyVerdict, partyName, partyVerdicts } from '../../api/index.ts';
import { counted, isPerplexity, quality, share, signed, spread } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { chip, facts, table } from '../parts.ts';
import { known, type PlugInEntry } from '../record.ts';

/** Parties by layers, and the plug-in without each; nothing where one adapter was plugged in. */
export function partiesPart(entry: PlugInEntry): Html | undefined {
  const { aggregate } = entry.status;
  const parties = verdictsOf(entry);
  if (aggregate === undefined || parties.length === 0) return undefined;
  const { method, norm, rank, keptEnergy } = aggregate;
  const leftOut = parties.filter((party) => party.leftOut > 0).length;
  return html`<h3>Parties</h3>
${facts([
  ['Adapters', String(parties.length)],
  ['Made one by', method],
  ['Norm of what came of them', norm],
  [
    'Written as factors',
    rank === undefined
      ? undefined
      : `of rank ${rank}, which keep ${share(keptEnergy ?? '')} of its squared norm`,
  ],
  ['Parties left out somewhere', String(leftOut)],
])}
${table({
  caption:
    'Each party: its change, how far it lies from what came of all, and at how many layers it was taken',
  columns: [
    { title: 'party' },
    { title: 'weight', number: true },
    { title: 'norm', number: true },
    { title: 'distance', number: true },
    { title: 'taken', number: true },
    { title: 'left out', number: true },
    { title: 'why', message: true },
    { title: 'digest', message: true },
  ],
  rows: parties.map((party, i) => [
    partyName(party, i),
    party.weight,
    party.norm,
    party.distance,
    String(party.taken),
    String(party.leftOut),
    reasonOf(party),
    html`<code>${party.digest}</code>`,
  ]),
})}
${worth(parties, entry)}
${byLayer(parties)}`;
}

/** All verdicts where the manifest is at hand; else those that the status has room for. */
function verdictsOf({ status, manifest }: PlugInEntry): readonly PartyVerdict[] {
  const own = status.parties ?? [];
  const { data } = partyVerdicts.safeParse(known(manifest)?.scores?.['parties']);
  const isSame = data?.length === own.length && data.every(({ digest }, i) => digest === own[i]?.digest);
  return isSame ? data.map((party, i) => ({ ...party, adapter: own[i]?.adapter })) : own;
}

/** Why it counted as it did, where that is of the whole party and not of a layer. */
function reasonOf({ layers: [first, ...others] }: PartyVerdict): string {
  const reason = first?.reason;
  return reason !== undefined && others.every((layer) => layer.reason === reason) ? reason : '';
}

function worth(parties: readonly PartyVerdict[], { status }: PlugInEntry): Html | undefined {
  const rows = parties.flatMap((party, i) =>
    (party.without ?? []).flatMap(({ task, plugIn, difference }) => {
      const metric = status.evaluation?.find((result) => result.task === task)?.metric ?? '';
      const own = `${quality(metric, plugIn.value)} ± ${spread(metric, plugIn.stderr)}`;
      return isJudged(metric) ? [[partyName(party, i), task, own, ...gainOf(metric, difference)]] : [];
    }),
  );
  if (rows.length === 0) return undefined;
  return table({
    caption:
      'The plug-in without each party, and how much better it is with it, paired on the same rows (points, or how much lower the perplexity is)',
    columns: [
      { title: 'party' },
      { title: 'task' },
      { title: 'plug-in without it', number: true },
      { title: 'gained with it', number: true },
      { title: 'standard error', number: true },
      { title: '95% interval', number: true },
    ],
    rows,
  });
}

type Difference = NonNullable<PartyVerdict['without']>[number]['difference'];

/** How much better the plug-in is with a party: of perplexity what is less is better. */
function gainOf(metric: string, { value, stderr, low, high }: Difference): string[] {
  const [gain, least, most] = isPerplexity(metric)
    ? [-Number(value), -Number(high), -Number(low)]
    : [Number(value), Number(low), Number(high)];
  return [
    signed(metric, gain),
    spread(metric, stderr),
    `${signed(metric, least)} to ${signed(metric, most)}`,
  ];
}

function byLayer(parties: readonly PartyVerdict[]): Html {
  const rows = parties.flatMap((party, i) =>
    party.layers.map(({ layer, taken, norm, distance, share: counts, reason }) => [
      partyName(party, i),
      layer === undefined ? 'head' : `layer ${layer}`,
      chip(taken ? 'taken' : 'left out', taken ? 'good' : 'bad'),
      norm,
      distance,
      counts === undefined ? '' : share(counts),
      reason ?? '',
    ]),
  );
  return html`<details${parties.some(({ leftOut }) => leftOut > 0) && html` open`}><summary>Party by layer: ${counted(rows.length, 'verdict')}</summary>
${table({
  caption:
    'A norm is that of the change that the adapter makes to the layer; a distance is from what came of all',
  columns: [
    { title: 'party' },
    { title: 'layer' },
    { title: 'verdict' },
    { title: 'norm', number: true },
    { title: 'distance', number: true },
    { title: 'counted', number: true },
    { title: 'why', message: true },
  ],
  rows,
})}</details>`;
}
