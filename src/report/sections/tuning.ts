// The report's section on a training.
import { type LossHistory, lossesOfRows } from '../../tuning/index.ts';
import {
  bytes,
  counted,
  grouped,
  lengthNote,
  metricTitle,
  pairNote,
  quality,
  share,
  shortDigest,
  signed,
  spread,
} from '../figures.ts';
import { type Html, html } from '../html.ts';
import { lossMeaning, objectiveWords } from '../objective.ts';
import { facts, figure, phaseChip, responsive, table } from '../parts.ts';
import { drawLite } from '../plots/draw.ts';
import { lossPlot, lossPoints } from '../plots/loss.ts';
import { anchorOf, known, type TuneEntry } from '../record.ts';
import { trainedWords } from '../roles.ts';
import { compare } from '../verdict.ts';
import { privacyPart } from './privacy.ts';

/** What one OffsiteTune did: the loss curve, the private cells, figures of the training. */
export async function tuningSection(entry: TuneEntry): Promise<Html> {
  const { resource, status } = entry;
  const anchor = anchorOf(entry);
  return html`<section id="${anchor}" aria-labelledby="${anchor}-h">
<div class="title"><h2 id="${anchor}-h">Adapter: ${resource.metadata.name}</h2> ${phaseChip(status)}</div>
${keyFacts(entry)}
${await lossPart(entry, anchor)}
${privateCells(entry)}
${privacyPart(entry)}
</section>`;
}

function keyFacts({ resource: { spec }, status: { training, artifact } }: TuneEntry): Html {
  const rate = `${spec.training.learningRate}, ${spec.training.schedule}`;
  return facts([
    ['Trained', trainedWords(spec.adapter)],
    ['Objective', objectiveWords(spec.objective)],
    [
      'Went on from',
      spec.start && (spec.start.ref?.name ?? html`<code>${shortDigest(spec.start.digest ?? '')}</code>`),
    ],
    ['Steps done', training?.steps === undefined ? undefined : grouped(training.steps)],
    ['Rows a step', grouped(spec.training.batchSize)],
    ['Learning rate', rate],
    ['Left as it was', training?.unchanged === undefined ? undefined : share(training.unchanged)],
    ['Adapter holds step', training?.bestStep ? grouped(training.bestStep) : undefined],
    ['Tokens', training?.tokens === undefined ? undefined : grouped(training.tokens)],
    ['Tokens a second', training?.tokensPerSecond],
    ['Went on after a stop', training?.resumes ? counted(training.resumes, 'time') : undefined],
    ['Adapter', artifact && bytes(artifact.sizeBytes)],
    ['Digest', artifact && html`<code>${shortDigest(artifact.digest)}</code>`],
  ]);
}

async function lossPart(entry: TuneEntry, anchor: string): Promise<Html> {
  const history = known(entry.history);
  if (history === undefined || history.losses.length === 0) {
    const why = 'absent' in entry.history ? entry.history.absent : 'no step is done';
    return html`<h3>Loss</h3><p class="soft">The loss curve is not shown: ${why}.</p>${fewLosses(entry)}`;
  }
  const plot = await responsive(`${anchor}-loss`, (width, id) =>
    drawLite(lossPlot(history, width), { id, title: 'Loss by step', text: lossWords(history) }),
  );
  const { stepsAPoint } = lossPoints(history.losses);
  const validated = history.evaluations.length > 0;
  const unfinished =
    entry.status.phase !== 'Complete'
      ? ' The training is not complete: this is what its last checkpoint holds.'
      : '';
  return html`<h3>Loss</h3>${figure(plot, {
    title: 'Loss by step',
    caption: `${lossMeaning(entry.resource.spec.objective)}${stepsAPoint > 1 ? ` Training: means of ${stepsAPoint} steps.` : ''}${
      validated ? '' : ' There are no validation rows: the adapter is the last step.'
    }${unfinished}`,
    legend: [
      { colour: 'var(--kept)', shape: 'line', text: 'training rows' },
      ...(validated
        ? [{ colour: 'var(--transfer)', shape: 'circle' as const, text: 'validation rows' }]
        : []),
      ...(validated && history.bestStep > 0
        ? [
            {
              colour: 'var(--transfer)',
              shape: 'diamond' as const,
              text: `best step: ${grouped(history.bestStep)}`,
            },
          ]
        : []),
    ],
  })}
${validated && evaluationsTable(entry, history)}`;
}

function lossWords({ losses, evaluations, bestStep }: LossHistory): string {
  const known = lossesOfRows(losses);
  const training =
    known.length === 0
      ? 'No step had rows.'
      : `Training loss from ${known[0]!.toFixed(4)} at step ${losses.indexOf(known[0]!) + 1} to ${known.at(-1)!.toFixed(4)} at step ${losses.lastIndexOf(known.at(-1)!) + 1}.`;
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  if (first === undefined || last === undefined) return training;
  const validation = `Validation loss from ${lossText(first.loss)} at step ${first.step} to ${lossText(last.loss)} at step ${last.step}.`;
  return `${training} ${validation}${bestStep > 0 ? ` Best step: ${bestStep}.` : ''}`;
}

/** A dash where rows that are hidden have no score. */
const lossText = (loss: number): string => (Number.isFinite(loss) ? loss.toFixed(4) : '–');

/** What the status alone tells of the losses. */
function fewLosses({ status: { training } }: TuneEntry): Html {
  return facts([
    ['Loss of the first step', training?.firstLoss],
    ['Loss of the last step', training?.lastLoss],
    ['Validation loss of the best step', training?.validationLoss],
  ]);
}

function evaluationsTable({ status }: TuneEntry, { evaluations, bestStep }: LossHistory): Html {
  const metric = status.validation?.metric;
  return html`<details><summary>The ${evaluations.length} evaluations as numbers</summary>${table({
    caption: 'Evaluations on the validation rows',
    columns: [
      { title: 'step' },
      { title: 'loss', number: true },
      ...(metric ? [{ title: metric, number: true }] : []),
      { title: '' },
    ],
    rows: evaluations.map(({ step, loss, cell }) => [
      grouped(step),
      lossText(loss),
      ...(metric ? [`${quality(metric, cell.value)} ± ${spread(metric, cell.stderr)}`] : []),
      step === bestStep && step > 0 ? 'best' : '',
    ]),
  })}</details>`;
}

type Validation = NonNullable<TuneEntry['status']['validation']>;

/** What tuning did to the emulator on the private rows, and how sure that is by the two cells alone. */
function movedWords(validation: Validation): string {
  const { metric, cells } = validation;
  const { lead, stderr, certainty, few } = compare(validation, 'emulatorFineTuned', 'emulatorZeroShot');
  const [before, after] = [cells.emulatorZeroShot, cells.emulatorFineTuned].map(({ value }) => Number(value));
  if (before === Number.POSITIVE_INFINITY && after === before)
    return "the emulator's perplexity is infinite before and after tuning, and which is the better one cannot be told";
  const isDecided = certainty === 'holds' || certainty === 'fails';
  const open =
    few === undefined ? '; by these two figures alone that may be chance' : `; that may be chance: ${few}`;
  const judged = isDecided ? '' : open;
  if (Number.isFinite(lead))
    return `tuning moves the emulator by ${signed(metric, after! - before!)}${metric === 'perplexity' ? '' : ' points'} (standard error at most ${spread(metric, stderr, true)})${judged}`;
  return `tuning moves the emulator from ${quality(metric, before!)} to ${quality(metric, after!)}, and an infinite perplexity is worse than any other${judged}`;
}

function privateCells({ status: { validation, training }, resource }: TuneEntry): Html | undefined {
  if (validation === undefined) {
    return resource.spec.data.validation === undefined
      ? html`<h3>Private cells</h3><p>There are no validation rows, so what the emulator is worth on private data is not measured.</p>`
      : undefined;
  }
  const { metric, samples, cells } = validation;
  const { emulatorZeroShot: before, emulatorFineTuned: after } = cells;
  return html`<h3>Private cells</h3>
<p>On the data owner's validation rows, ${movedWords(validation)}.</p>
${table({
  caption: `${metricTitle(metric)} on ${samples} validation rows`,
  columns: [{ title: 'cell' }, { title: 'value', number: true }, { title: 'standard error', number: true }],
  rows: [['emulator, zero-shot', before] as const, ['emulator, fine-tuned (best step)', after] as const].map(
    ([name, { value, stderr }]) => [name, quality(metric, value), spread(metric, stderr, true)],
  ),
})}<p class="soft">${metric === 'pair_acc' && `${pairNote('the emulator before it was tuned')} `}${resource.spec.data.format === 'preference' && `${lengthNote} `}${
    training?.privacy === undefined
      ? 'The best step was chosen on these rows, so the second value is a little too good.'
      : 'No step was chosen on these rows: nothing hides them in the adapter.'
  }</p>`;
}
