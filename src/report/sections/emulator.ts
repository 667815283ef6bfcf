// The report's section on an emulator.
import type { Plan, SimilarityRecord } from '../../emulator/index.ts';
import {
  bytes,
  counted,
  isPerplexity,
  lastSegment,
  listed,
  metricTitle,
  quality,
  ranges,
  share,
  shortDigest,
  significant,
  spread,
} from '../figures.ts';
import { type Html, html } from '../html.ts';
import { facts, figure, type LegendEntry, phaseChip, responsive, table } from '../parts.ts';
import { adjacentPlot } from '../plots/adjacent.ts';
import { draw, drawLite } from '../plots/draw.ts';
import { heatMap } from '../plots/heat-map.ts';
import { anchorOf, type BuildEntry, known } from '../record.ts';
import { isShallow, positionsOf, type Role, rolesOf, type ShownWay, wayIn, wordsOf } from '../roles.ts';
import { frontierPart } from './frontier.ts';
import { leakPart } from './leak.ts';
import { recoveryPart } from './recovery.ts';

/** What one EmulatorBuild found and made: similarities, the plan, which layer each position runs, scores, what it gives away. */
export async function emulatorSection(entry: BuildEntry): Promise<Html> {
  const { resource, status } = entry;
  const anchor = anchorOf(entry);
  const record = known(entry.similarity);
  const plan = record ?? status.plan;
  return html`<section id="${anchor}" aria-labelledby="${anchor}-h">
<div class="title"><h2 id="${anchor}-h">Emulator: ${resource.metadata.name}</h2> ${phaseChip(status)}</div>
${plan && html`<p>${sentence(entry, plan)}</p>`}
${status.similarity?.doubts && html`<p><strong>Doubtful</strong>: ${status.similarity.doubts}.</p>`}
${keyFacts(entry)}
${await frontierPart(anchor, status.auto, resource.spec.auto?.leakAtMost)}
${leakPart(anchor, status.scores)}
${await recoveryPart(anchor, status.scores?.leakTest)}
${await similarityPart(entry, record, plan, anchor)}
${plan && positionsPart(wayIn(entry), plan)}
${scores(entry)}
</section>`;
}

function sentence({ resource: { spec } }: BuildEntry, plan: Plan): string {
  const depth = plan.clusters.flat().length;
  const removed = rolesOf(plan).filter((role) => role === 'shared' || role === 'removed').length;
  const kept = `Of the ${depth} layers of ${lastSegment(spec.model.uri)}, ${plan.kept.length} are kept`;
  const trained =
    plan.transferLayers.length > 0
      ? `${counted(plan.transferLayers.length, 'layer')} (${ranges(plan.transferLayers)}) can be trained and come back`
      : 'None is a transfer layer: LoRA beside the linear maps of every kept layer can be trained and comes back';
  if (removed === 0) return `${kept}: none is removed. ${trained}.`;
  const fate = isShallow(plan)
    ? `${removed} are left out with their positions, so the emulator is ${plan.source.length} layers deep`
    : `where ${counted(removed, 'layer')} ${removed === 1 ? 'was' : 'were'} removed, a kept layer's weights run, so the emulator keeps its depth`;
  return `${kept}; ${fate}. ${trained}.`;
}

function keyFacts(entry: BuildEntry): Html {
  const { spec } = entry.resource;
  const { artifact, scores: found } = entry.status;
  const way = wayIn(entry);
  const { probe, similarity } = spec;
  return facts([
    ['Strategy', way && `${way.strategy}${way.layers === undefined ? '' : `, K = ${way.layers}`}`],
    ['Similarity', similarity.metric],
    [
      'Probe',
      `${counted(probe.samples, 'row')}, ${probe.pooling}${probe.skipFirst ? ' without the first token' : ''}`,
    ],
    ['Bundle', artifact && bytes(artifact.sizeBytes)],
    ['Digest', artifact && html`<code>${shortDigest(artifact.digest)}</code>`],
    ["Model's tensors in it, exactly", found?.exactTensorShare && share(found.exactTensorShare)],
    ['Ability kept (CPL)', found?.cpl && share(found.cpl)],
  ]);
}

async function similarityPart(
  entry: BuildEntry,
  record: SimilarityRecord | undefined,
  plan: Plan | undefined,
  anchor: string,
): Promise<Html> {
  const { similarity, status } = entry;
  const way = wayIn(entry);
  const adjacent = record?.adjacent ?? status.similarity?.adjacent.map(Number);
  if (adjacent === undefined) return html`<p>No similarities are known yet.</p>`;
  return html`<h3>How alike the layers are</h3>
${record ? await matrixFigure(way, record, anchor) : html`<p class="soft">The whole matrix is not shown: ${'absent' in similarity ? similarity.absent : ''}.</p>`}
${adjacent.length > 0 && (await adjacentFigure(adjacent, plan, way?.strategy, anchor))}
${record && evidencePart(record)}`;
}

/** What else the strategy chose by. */
function evidencePart({ influence, removed }: SimilarityRecord): Html {
  return html`${
    influence &&
    html`<details><summary>Block influence of the ${influence.length} layers</summary>${table({
      caption: '1 - the mean cosine of what goes into a layer and what comes out: the highest stay',
      columns: [{ title: 'layer' }, { title: 'influence', number: true }],
      rows: influence.map((value, layer) => [String(layer), value.toFixed(6)]),
    })}</details>`
  }
${removed && html`<p>Left out one after the other, each the one without which the loss on the probe's rows was lowest: ${removed.join(', ')}.</p>`}`;
}

const roleMarks: Readonly<Record<Role, Omit<LegendEntry, 'text'>>> = {
  transfer: { colour: 'var(--transfer)', shape: 'diamond' },
  kept: { colour: 'var(--kept)', shape: 'circle' },
  shared: { colour: 'var(--shared)', shape: 'square' },
  removed: { colour: 'var(--removed)', shape: 'square' },
};

async function matrixFigure(
  way: ShownWay | undefined,
  record: SimilarityRecord,
  anchor: string,
): Promise<Html> {
  const { matrix, metric, clusters, kept, transferLayers } = record;
  const joined = clusters.filter(({ length }) => length > 1);
  const text =
    `Similarity (${metric}) of every two of ${matrix.length} layers. Kept: ${ranges(kept)}. Transfer layers: ${ranges(transferLayers) || 'none'}. ` +
    `Clusters of several layers: ${joined.map(ranges).join('; ') || 'none'}.`;
  const plot = await responsive(`${anchor}-matrix`, (width, id) =>
    draw(heatMap(matrix, record, Math.min(520, width - 62, Math.max(240, 40 * matrix.length))), {
      id,
      title: 'Similarity of the layers',
      text,
    }),
  );
  const roles = new Set(rolesOf(record));
  const words = wordsOf(way, record);
  const legend = (Object.keys(roleMarks) as Role[])
    .filter((role) => roles.has(role))
    .map((role) => ({ ...roleMarks[role], text: words[role] }));
  const shared =
    isShallow(record) || !roles.has('shared')
      ? ''
      : ' A square off the diagonal stands at (position, the layer whose weights it runs).';
  return figure(plot, {
    beside: true,
    title: `Every two layers (${metric})`,
    caption: `The outputs of two layers on the probe rows, 1 is the same. Each row and column is a layer of the full model, coloured at the edge by what became of it; frames are clusters of more than one layer.${shared}`,
    legend: [
      ...legend,
      ...(joined.length > 0 ? [{ colour: 'var(--text)', shape: 'frame' as const, text: 'cluster' }] : []),
    ],
  });
}

async function adjacentFigure(
  adjacent: readonly number[],
  plan: Plan | undefined,
  strategy: string | undefined,
  anchor: string,
): Promise<Html> {
  const lowest = Math.min(...adjacent);
  const at = adjacent.indexOf(lowest);
  const plot = await responsive(`${anchor}-adjacent`, (width, id) =>
    drawLite(adjacentPlot(adjacent, plan, width), {
      id,
      title: 'How much neighbouring layers differ',
      text: `1 minus the similarity of neighbouring layers. They differ most between layers ${at} and ${at + 1}, with similarity ${significant(lowest)}.`,
    }),
  );
  const cut =
    strategy === 'crash'
      ? ' Clusters end where neighbours differ most.'
      : ` Strategy ${strategy} does not look at this.`;
  return html`${figure(plot, {
    title: 'Neighbouring layers',
    caption: `How far each layer is from the next, on a logarithmic scale.${plan && strategy ? cut : ''}`,
    legend: [
      ...(plan
        ? [{ colour: 'var(--transfer)', shape: 'diamond' as const, text: 'between two clusters' }]
        : []),
      { colour: 'var(--kept)', shape: 'circle', text: plan ? 'inside a cluster' : 'a pair of neighbours' },
    ],
  })}
<details><summary>The ${adjacent.length} similarities as numbers</summary>${table({
    caption: 'Similarity of each layer and the next',
    columns: [{ title: 'layers' }, { title: 'similarity', number: true }],
    rows: adjacent.map((value, j) => [`${j} and ${j + 1}`, value.toFixed(6)]),
  })}</details>`;
}

/** The share map: the emulator from input to output. */
function positionsPart(way: ShownWay | undefined, plan: Plan): Html {
  const positions = positionsOf(plan);
  const transfer = new Set(plan.transferLayers);
  const words = (role: Role, source: number) =>
    role === 'transfer'
      ? 'trained'
      : role === 'shared'
        ? `repeated${transfer.has(source) ? ', frozen copy of a transfer layer' : ''}`
        : 'kept';
  const roles = new Set(positions.map(({ role }) => role));
  const meanings = listed([
    ...(roles.has('transfer') ? ['orange is trained'] : []),
    ...(roles.has('kept') ? [`blue is ${wordsOf(way, plan).kept}`] : []),
    ...(roles.has('shared') ? ['dashed repeats a kept layer, frozen'] : []),
  ]);
  return html`<h3>Which layer each position of the emulator runs</h3>
<ol class="positions">${positions.map(
    ({ position, source, role }) =>
      html`<li class="${role}"><small><span class="hidden">position </span>${position}</small>${source}<span class="hidden"> (${words(role, source)})</span></li>`,
  )}</ol>
<p class="soft">Small: the position, from input to output. Large: the layer of the full model whose weights run there. Of the colours, ${meanings}.</p>
<details><summary>Clusters, kept and transfer layers as numbers</summary>${table({
    caption: 'The clusters of the plan',
    columns: [{ title: 'cluster' }, { title: 'layers' }, { title: 'kept' }, { title: 'transfer' }],
    rows: plan.clusters.map((cluster, i) => [
      String(i),
      ranges(cluster),
      ranges(cluster.filter((layer) => plan.kept.includes(layer))),
      ranges(cluster.filter((layer) => transfer.has(layer))),
    ]),
  })}</details>`;
}

function scores({ status: { scores: found } }: BuildEntry): Html | undefined {
  if (found === undefined) return undefined;
  const { metric, samples, full, emulator, reason } = found;
  if (metric === undefined || full === undefined || emulator === undefined) {
    return html`<h3>Scores</h3><p>Model and emulator were not scored${reason && `: ${reason}`}.</p>`;
  }
  return html`<h3>Scores on rows after the probe's</h3>${table({
    caption: `${metricTitle(metric)} on ${samples} rows`,
    columns: [{ title: '' }, { title: 'value', number: true }, { title: 'standard error', number: true }],
    rows: [
      ['full model', full],
      ['emulator', emulator],
    ].map(([name, cell]) => {
      const { value, stderr } = cell as { value: string; stderr: string };
      return [name as string, quality(metric, value), spread(metric, stderr, true)];
    }),
  })}<p class="soft">CPL is ${isPerplexity(metric) ? 'perplexity(full) / perplexity(emulator)' : 'accuracy(emulator) / accuracy(full)'}: how much of the model's ability whoever gets the bundle has. The lower, the less is given away.</p>`;
}
