// The report's part on a plug-in's analyses, in sentences, plots and tables.
import type { AnalysisSummary } from '../../api/index.ts';
import { type AnalysisRecord, figuresOf, type Measured, type TaskFigures } from '../../plugin/index.ts';
import { counted, isPerplexity, metricTitle, quality, signed } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { figure, responsive, table } from '../parts.ts';
import { drawLite } from '../plots/draw.ts';
import { type LayerChange, layersPlot, linearWithin } from '../plots/layers.ts';
import { linePlot } from '../plots/line.ts';
import { anchorOf, known, type PlugInEntry } from '../record.ts';

const plotWidth = 360;

/** What was measured to explain a plug-in: the line from the full model through it, and what each layer is worth. */
export async function analysisPart(entry: PlugInEntry): Promise<Html | undefined> {
  const { resource, status } = entry;
  if (resource.spec.analysis === undefined) return undefined;
  const summaries = status.analysis ?? [];
  const record = known(entry.analysis);
  const parts: Html[] = [];
  for (const summary of summaries) {
    const at = record?.tasks.findIndex(({ task }) => task === summary.task) ?? -1;
    const own = record && at >= 0 ? taskOf(record, at) : undefined;
    parts.push(await taskPart(summary, own, `${anchorOf(entry)}-analysis${parts.length}`));
  }
  const missing = 'absent' in entry.analysis ? entry.analysis.absent : undefined;
  return html`<h3>Analyses</h3>
${missing !== undefined && html`<p class="soft">The curves are not shown: ${missing}.</p>`}${parts}`;
}

interface TaskAnalysis extends TaskFigures {
  readonly metric: string;
  readonly coefficient: number;
  readonly plugIn: Measured;
  readonly transferLayers: ReadonlySet<number>;
}

/** What a record says of one of its tasks. */
function taskOf(record: AnalysisRecord, i: number): TaskAnalysis {
  const figures = figuresOf(record, i);
  return {
    ...figures,
    // A summary is only of a task whose plug-in was scored.
    plugIn: figures.plugIn as Measured,
    metric: record.tasks[i]?.metric ?? '',
    coefficient: record.coefficient,
    transferLayers: new Set(record.transferLayers),
  };
}

async function taskPart(summary: AnalysisSummary, own: TaskAnalysis | undefined, id: string): Promise<Html> {
  return html`<h4>Task ${summary.task}, ${counted(summary.samples, 'row')}</h4>
<ul>${sentences(summary).map((sentence) => html`<li>${sentence}</li>`)}</ul>
${own && own.line.length > 1 && html`<div class="pair">${await lossFigure(own, summary, id)}${await metricFigure(own, summary, id)}</div>`}
${own && own.deleted.length > 0 && (await deletedFigure(own, summary, id))}
${own && own.rewound.length > 0 && (await rewoundFigure(own, summary, id))}
${own && numbers(own, summary)}`;
}

function sentences({ loss, interpolation, deleted, rewound }: AnalysisSummary): string[] {
  return [
    `The plugged-in model's loss is ${loss}${interpolation?.fullLoss ? `, the full model's ${interpolation.fullLoss}` : ''}.`,
    ...(interpolation ? lineSentences(interpolation) : []),
    ...(deleted
      ? [
          `Without layer ${deleted.largest.layer} the loss grows most, by ${plain(deleted.largest.change)}; without layer ${deleted.smallest.layer} least, by ${plain(deleted.smallest.change)}.`,
        ]
      : []),
    ...(rewound
      ? [
          `Of what was trained, layer ${rewound.largest.layer} carries most: set back to the full model's weights, the loss changes by ${plain(rewound.largest.change)}; with layer ${rewound.smallest.layer} set back, by ${plain(rewound.smallest.change)}.`,
        ]
      : []),
  ];
}

function lineSentences({
  bestCoefficient,
  bestLoss,
  barrier,
}: NonNullable<AnalysisSummary['interpolation']>): string[] {
  const best = `On the line it is lowest at ${plain(bestCoefficient)}: ${bestLoss}.`;
  if (barrier === undefined) return [best];
  return [
    best,
    Number(barrier) === 0
      ? 'There is no barrier between full model and plug-in: nowhere is the loss above the straight line between theirs.'
      : `Between full model and plug-in the loss rises up to ${barrier} above the straight line between theirs.`,
  ];
}

/** With a real minus sign. */
const plain = (figure: string): string => figure.replace('-', '−');

const models = [
  { colour: 'var(--full)', shape: 'circle' as const, text: 'full model' },
  { colour: 'var(--transfer)', shape: 'diamond' as const, text: 'plug-in' },
];

async function lossFigure(own: TaskAnalysis, summary: AnalysisSummary, id: string): Promise<Html> {
  const points = own.line.map(({ at, loss }) => ({ coefficient: at, value: loss }));
  const options = {
    title: 'loss',
    width: plotWidth,
    plugIn: own.coefficient,
    straight: true,
  };
  const plot = await drawLite(linePlot(points, options), {
    id: `${id}-loss`,
    title: `Loss of task ${summary.task} from the full model through the plug-in`,
    text: own.line.map(({ at, loss }) => `at ${at} ${loss.toFixed(4)}`).join('; '),
  });
  return figure(plot, {
    title: 'Loss on the line',
    caption:
      "(1−c) full + c plugged: mean negative log-likelihood of the answers' tokens, in nats. Dashed between the two: the straight line.",
    legend: models,
  });
}

async function metricFigure(own: TaskAnalysis, summary: AnalysisSummary, id: string): Promise<Html> {
  const scale = isPerplexity(own.metric) ? 1 : 100;
  const points = own.line.map(({ at, value }) => ({ coefficient: at, value: scale * value }));
  const title = isPerplexity(own.metric) ? 'perplexity' : `${metricTitle(own.metric)}, %`;
  const options = { title, width: plotWidth, plugIn: own.coefficient };
  const plot = await drawLite(linePlot(points, options), {
    id: `${id}-metric`,
    title: `${metricTitle(own.metric)} of task ${summary.task} from the full model through the plug-in`,
    text: own.line.map(({ at, value }) => `at ${at} ${quality(own.metric, value)}`).join('; '),
  });
  return figure(plot, {
    title: 'The metric on the line',
    caption: `The same places.${isPerplexity(own.metric) ? '' : ' It moves by whole rows, the loss does not.'}`,
    legend: models,
  });
}

const changesOf = (own: TaskAnalysis, layers: readonly Measured[]): LayerChange[] =>
  layers.map(({ at, loss }) => ({
    layer: at,
    change: loss - own.plugIn.loss,
    transfer: own.transferLayers.has(at),
  }));

async function deletedFigure(own: TaskAnalysis, summary: AnalysisSummary, id: string): Promise<Html> {
  const changes = changesOf(own, own.deleted);
  const plot = await responsive(`${id}-deleted`, (width, own) => layersDrawn(changes, width, own, summary));
  return figure(plot, {
    title: 'Each layer deleted',
    caption: `What the loss of the plugged-in model changes by, in nats, when the layer's block is skipped. High: the model cannot do without it.${axisWords(changes)}`,
    legend: [
      { colour: 'var(--transfer)', shape: 'square', text: 'transfer layer' },
      { colour: 'var(--kept)', shape: 'square', text: 'other layer' },
    ],
  });
}

async function rewoundFigure(own: TaskAnalysis, summary: AnalysisSummary, id: string): Promise<Html> {
  const changes = changesOf(own, own.rewound);
  const width = Math.min(plotWidth, 120 + 40 * changes.length);
  return figure(await layersDrawn(changes, width, `${id}-rewound`, summary), {
    title: 'Each transfer layer rewound',
    caption: `What the loss changes by, in nats, when one transfer layer has the full model's own weights again. Near zero: its training is not used.${axisWords(changes)}`,
  });
}

const layersDrawn = (
  changes: readonly LayerChange[],
  width: number,
  id: string,
  { task }: AnalysisSummary,
): Promise<Html> =>
  drawLite(layersPlot(changes, width), {
    id,
    title: `Change of the loss of task ${task} by layer`,
    text: changes.map(({ layer, change }) => `layer ${layer} ${change.toFixed(4)}`).join('; '),
  });

function axisWords(changes: readonly LayerChange[]): string {
  const near = linearWithin(changes);
  return near === undefined ? '' : ` The axis is linear near zero and logarithmic beyond ${near}.`;
}

function numbers(own: TaskAnalysis, { task }: AnalysisSummary): Html {
  const { metric, plugIn, line, deleted, rewound } = own;
  const title = metricTitle(metric);
  const rewoundAt = new Map(rewound.map((layer) => [layer.at, layer]));
  const layers = [...new Map([...rewound, ...deleted].map((layer) => [layer.at, layer])).keys()].sort(
    (a, b) => a - b,
  );
  const deletedAt = new Map(deleted.map((layer) => [layer.at, layer]));
  const changes = (layer: Measured | undefined) =>
    layer === undefined
      ? ['', '']
      : [plain((layer.loss - plugIn.loss).toFixed(4)), signed(metric, layer.value - plugIn.value)];
  const unit = isPerplexity(metric) ? 'perplexity' : 'points';
  return html`<details><summary>The analyses of ${task} as numbers</summary>${
    line.length > 0 &&
    table({
      caption: `The line of task ${task}: (1−c) full + c plugged`,
      columns: [
        { title: 'coefficient c' },
        { title: 'loss', number: true },
        { title, number: true },
        { title: '' },
      ],
      rows: line.map(({ at, loss, value }) => [
        plain(String(at)),
        loss.toFixed(4),
        quality(metric, value),
        at === 0 ? 'full model' : at === own.coefficient ? 'plug-in' : '',
      ]),
    })
  }${
    layers.length > 0 &&
    table({
      caption: `Layers of task ${task}: changes of the plugged-in model's loss and ${title}`,
      columns: [
        { title: 'layer' },
        ...(['deleted', 'rewound'] as const)
          .filter((kind) => own[kind].length > 0)
          .flatMap((kind) => [
            { title: `${kind}: loss`, number: true },
            { title: `${kind}: ${unit}`, number: true },
          ]),
      ],
      rows: layers.map((layer) => [
        `${layer}${own.transferLayers.has(layer) ? ' (transfer)' : ''}`,
        ...(deleted.length > 0 ? changes(deletedAt.get(layer)) : []),
        ...(rewound.length > 0 ? changes(rewoundAt.get(layer)) : []),
      ]),
    })
  }</details>`;
}
