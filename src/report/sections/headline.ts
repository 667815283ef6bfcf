// The report's top: the verdict, a card for each resource, and every problem.
import type { TaskResult } from '../../api/index.ts';
import { counted, lastSegment, listed } from '../figures.ts';
import { type Html, html } from '../html.ts';
import { chip, phaseChip, reasonOf, type Tone } from '../parts.ts';
import { type AnyEntry, anchorOf, entriesOf, type PlugInEntry, type ReportRecord } from '../record.ts';
import { trainedWords, wayIn } from '../roles.ts';
import { judge, type Outcome } from '../verdict.ts';
import { balance } from './balance.ts';

/** The top of the page: did it work, what was run, what went wrong. */
export function headline(record: ReportRecord): Html {
  const { outcome, text } = overall(record);
  const { word, tone } = outcomes[outcome];
  return html`<p class="kicker">Offsite-tuning report · ${record.place}</p>
<h1>${text}</h1>
<p>${chip(word, tone)}</p>
${otherHeadlines(record)}
${balance(record)}
<ul class="cards">${entriesOf(record).map(card)}</ul>
${problems(record)}`;
}

type RunOutcome = Outcome | 'mixed' | 'unmeasured' | 'stopped';

const outcomes: Readonly<Record<RunOutcome, { word: string; tone: Tone }>> = {
  worked: { word: 'worked', tone: 'good' },
  undecided: { word: 'not decided', tone: 'open' },
  failed: { word: 'did not work', tone: 'bad' },
  told: { word: 'not judged', tone: 'open' },
  mixed: { word: 'worked in part', tone: 'open' },
  unmeasured: { word: 'not measured', tone: 'open' },
  stopped: { word: 'failed', tone: 'bad' },
};

/** The outcome of the whole run in a word or two. */
export const outcomeWord = (record: ReportRecord): string => outcomes[overall(record).outcome].word;

/** One sentence for the whole run. */
export function overall(record: ReportRecord): { outcome: RunOutcome; text: string } {
  const all = results(record).map(judge);
  const judged = all.filter(({ outcome }) => outcome !== 'told');
  // What is only told decides nothing beside what is judged; alone, the first says so for all.
  const verdicts = judged.length > 0 ? judged : all.slice(0, 1);
  if (verdicts.length === 0) {
    const stopped = entriesOf(record).some(({ status }) => status.phase === 'Failed');
    return { outcome: stopped ? 'stopped' : 'unmeasured', text: whyUnmeasured(record) };
  }
  if (verdicts.length === 1) {
    const [{ outcome, headline: text }] = verdicts as [(typeof verdicts)[number]];
    return { outcome, text };
  }
  const count = (wanted: Outcome) => verdicts.filter(({ outcome }) => outcome === wanted).length;
  const rest = [
    ...(count('undecided') > 0 ? [`is not decided on ${count('undecided')}`] : []),
    ...(count('failed') > 0 ? [`did not work on ${count('failed')}`] : []),
  ];
  const worked = count('worked');
  const text = `Offsite-tuning ${listed([`worked on ${worked} of ${verdicts.length} evaluations`, ...rest])}`;
  if (worked === verdicts.length) return { outcome: 'worked', text };
  if (worked > 0) return { outcome: 'mixed', text };
  return { outcome: count('failed') > 0 ? 'failed' : 'undecided', text };
}

const results = ({ plugIns }: ReportRecord): TaskResult[] =>
  plugIns.flatMap(({ status }) => status.evaluation ?? []);

function whyUnmeasured({ plugIns, tunes, builds }: ReportRecord): string {
  const entries = [...builds, ...tunes, ...plugIns];
  const failed = entries.find(({ status }) => status.phase === 'Failed');
  if (failed) {
    const { kind, metadata } = failed.resource;
    return `${kind} ${metadata.name} failed, so nothing was measured on the plugged-in model`;
  }
  if (entries.some(({ status }) => status.phase === 'Running'))
    return 'The run is not finished: nothing is measured yet';
  if (plugIns.length === 0) {
    return 'No adapter was plugged in here, so whether offsite-tuning works is not measured';
  }
  return plugIns.some(({ resource }) => resource.spec.evaluation)
    ? 'The plugged-in model is not measured yet'
    : 'The adapter was plugged in without an evaluation: whether it helps is not measured';
}

/** With several evaluations: each one's own sentence. */
function otherHeadlines({ plugIns }: ReportRecord): Html | undefined {
  const all = plugIns.flatMap((entry) =>
    (entry.status.evaluation ?? []).map((result) => ({ entry, verdict: judge(result) })),
  );
  if (all.length < 2) return undefined;
  return html`<ul>${all.map(
    ({ entry, verdict }) =>
      html`<li>${plugIns.length > 1 && html`<a href="#${anchorOf(entry)}">${entry.resource.metadata.name}</a>: `}${verdict.headline}</li>`,
  )}</ul>`;
}

/** A hyphen at which no line ends, for exponents. */
const unbroken = '\u2011';

/** What one resource was to do, in a card that leads to its section. */
function card(entry: AnyEntry): Html {
  const { kind, metadata } = entry.resource;
  return html`<li><div class="title"><a class="what" href="#${anchorOf(entry)}">${kind} ${metadata.name}</a> ${phaseChip(entry.status)}</div>
<p>${summaryOf(entry)}</p></li>
`;
}

function summaryOf(entry: AnyEntry): string {
  if ('similarity' in entry) {
    const { spec } = entry.resource;
    const way = wayIn(entry);
    if (way === undefined) return `${lastSegment(spec.model.uri)}: strategy and compression are to be found`;
    const depth = entry.status.plan?.clusters.flat().length;
    const sharing = spec.sharing === 'none' ? 'without sharing' : `sharing ${spec.sharing}`;
    const chosen = `${way.layers}${depth ? ` of ${depth}` : ''} layers kept by strategy ${way.strategy}, ${sharing}`;
    const kept = way.layers === undefined ? `all${depth ? ` ${depth}` : ''} layers kept` : chosen;
    const compressed = way.compression ? `, compressed by ${way.compression.type}` : '';
    return `${lastSegment(spec.model.uri)}: ${kept}${compressed}`;
  }
  if ('history' in entry) {
    const { training, adapter, start } = entry.resource.spec;
    const length = training.steps
      ? counted(training.steps, 'step')
      : counted(training.epochs as number, 'epoch');
    const from = start && ` on from ${start.ref?.name ?? 'an adapter'}`;
    return `Trains ${trainedWords(adapter)}${from ?? ''} for ${length} of ${counted(training.batchSize, 'row')}, learning rate ${training.learningRate.replace('-', unbroken)}`;
  }
  return plugInSummary(entry);
}

function plugInSummary({ resource: { spec } }: PlugInEntry): string {
  const tasks = spec.evaluation?.tasks.map(({ name }) => name) ?? [];
  const where = tasks.length === 0 ? 'no evaluation' : `evaluated on ${listed(tasks)}`;
  return `${lastSegment(spec.model.uri)} with ${spec.adapters === undefined ? 'the adapter' : `${spec.adapters.length} adapters made one (${spec.aggregation?.method})`} plugged in, coefficient ${spec.coefficient}; ${where}`;
}

/** Everything that did not end well, first things first. */
function problems(record: ReportRecord): Html | undefined {
  const lines = entriesOf(record).flatMap((entry) => {
    const { phase = 'Pending' } = entry.status;
    if (phase === 'Complete') return [];
    const reason = reasonOf(entry.status);
    const { kind, metadata } = entry.resource;
    return [
      html`<li><strong>${kind} ${metadata.name}: ${phase}</strong>${reason && html` (${reason.reason}): ${reason.message}`}</li>`,
    ];
  });
  const failed = entriesOf(record).some(({ status }) => status.phase === 'Failed');
  const unread = record.unreadable.map((line) => html`<li>${line}</li>`);
  return lines.length + unread.length === 0
    ? undefined
    : html`<div class="problems${failed || record.unreadable.length > 0 ? '' : ' waiting'}"><strong>Not everything is complete</strong><ul>${lines}${unread}</ul></div>`;
}
