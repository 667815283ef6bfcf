// The display for people at a terminal: live progress bars.
import progress from 'cli-progress';
import type { Metric, StageEvent } from '../events.ts';
import { keyOf, type ResourceIdentity } from '../resource.ts';
import { Allowance } from './allowance.ts';
import { metricsText, outcomeText } from './lines.ts';
import type { FinishedResource, Terminal } from './terminal.ts';
import { duration, oneLine, shorten } from './words.ts';

type Outcome = 'running' | 'done' | 'failed';

interface Stage {
  /** None while the screen has no room for it, and once it has ended and stands above, to make room for others. */
  bar: progress.SingleBar | undefined;
  resource: string;
  label: string;
  started: number;
  ended?: number;
  outcome: Outcome;
  percentage: number;
  /** When the stage should end, as of its last event: the time left then runs down between events. */
  due?: number;
  metrics: Metric[];
}

const signs: Record<Outcome, string> = { running: ' ', done: '✔', failed: '✘' };

/** Beyond so many the first that has ended is forgotten, or else the first. */
const mostStages = 256;

/**
 * Live bars, one a stage: remaining time and metrics at the right; warnings and failures scroll by above, and so do stages that have
 * ended when the screen has no more room. Of more that run than it has rows, the later ones wait until others have ended.
 */
export class BarsTerminal implements Terminal {
  readonly #stream: NodeJS.WriteStream;
  readonly #bars: progress.MultiBar;
  readonly #stages = new Map<string, Stage>();
  readonly #allowance = new Allowance(() => performance.now());
  #hasToldOfWaiting = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#bars = new progress.MultiBar({
      stream,
      fps: 8,
      linewrap: false,
      // A line above, or a bar that goes, moves also those that stay as they are.
      forceRedraw: true,
      // Whoever runs the stages handles signals: they save a checkpoint first.
      gracefulExit: false,
      format: (_options, _params, stage: Stage) => drawStage(stage, stream.columns || 80, performance.now()),
    });
  }

  event(resource: ResourceIdentity, event: StageEvent): void {
    const admitted = this.#allowance.admits(resource, event);
    if (typeof admitted === 'string') this.#above(`! ${resource.metadata.name}: ${admitted}`);
    if (admitted !== true) return;
    if (event.type === 'warning') {
      this.#above(`! ${resource.metadata.name}: ${event.reason}: ${event.message}`);
      return;
    }
    const stage = this.#stageOf(resource, event.stage);
    if (event.type === 'result') {
      this.#end(stage, 'done');
      return;
    }
    if (stage.outcome !== 'running' && event.progressPercentage < 100) this.#startAgain(stage);
    stage.percentage = event.progressPercentage;
    stage.metrics = event.metrics;
    if (event.estimatedRemainingSeconds !== undefined) {
      stage.due = performance.now() + event.estimatedRemainingSeconds * 1000;
    }
    stage.bar?.update(event.progressPercentage, stage);
    // A part of a stage, such as one of the plug-in's cells, has no result of its own.
    if (event.progressPercentage === 100) this.#end(stage, 'done');
  }

  finished({ resource, status }: FinishedResource): void {
    const complete = status.phase === 'Complete';
    for (const stage of this.#stages.values()) {
      if (stage.resource === keyOf(resource)) this.#end(stage, complete ? 'done' : 'failed');
    }
    if (!complete) this.#above(`✘ ${resource.kind} ${resource.metadata.name}: ${outcomeText(status)}`);
  }

  close(): void {
    if (this.#stages.size === 0) return;
    for (const stage of this.#waiting()) this.#logLine(stage);
    // Lines that wait to be shown above the bars are only written by an update.
    this.#bars.update();
    this.#bars.stop();
  }

  #stageOf(resource: ResourceIdentity, name: string): Stage {
    const key = `${keyOf(resource)}/${name}`;
    const known = this.#stages.get(key);
    if (known !== undefined) return known;
    if (this.#stages.size >= mostStages) {
      this.#removeOne();
      this.#showWaiting();
    }
    const stage: Stage = {
      bar: undefined,
      resource: keyOf(resource),
      label: oneLine(`${resource.metadata.name} ${name}`),
      started: performance.now(),
      outcome: 'running',
      percentage: 0,
      metrics: [],
    };
    this.#show(stage);
    this.#stages.set(key, stage);
    return stage;
  }

  /** Draws a stage where there is room, or those that have ended make it by going above. */
  #show(stage: Stage): void {
    // The cursor's line is the screen's as well; what is drawn beyond its top could never be drawn over again.
    const room = Math.max(1, (this.#stream.rows || 24) - 2);
    const shown = [...this.#stages.values()].filter(({ bar }) => bar !== undefined);
    const ended = shown.filter(({ outcome }) => outcome !== 'running');
    const going = ended.slice(0, Math.max(0, shown.length + 1 - room));
    for (const one of going) {
      this.#logLine(one);
      this.#bars.remove(one.bar!);
      one.bar = undefined;
    }
    if (shown.length - going.length < room) stage.bar = this.#bars.create(100, stage.percentage, stage);
    else if (!this.#hasToldOfWaiting) {
      this.#hasToldOfWaiting = true;
      this.#above('! more stages run than the terminal has rows for: each other is shown when one has ended');
    }
  }

  /** The room of a stage that has ended goes to those that wait for it, in their order. */
  #showWaiting(): void {
    for (const stage of this.#waiting()) {
      this.#show(stage);
      if (stage.bar === undefined) return;
    }
  }

  #waiting(): Stage[] {
    return [...this.#stages.values()].filter(
      ({ bar, outcome }) => bar === undefined && outcome === 'running',
    );
  }

  #removeOne(): void {
    const all = [...this.#stages];
    const [key, stage] = all.find(([, { outcome }]) => outcome !== 'running') ?? all[0]!;
    this.#stages.delete(key);
    if (stage.bar !== undefined) this.#bars.remove(stage.bar);
  }

  /** Another attempt, or another run of the same name. */
  #startAgain(stage: Stage): void {
    stage.outcome = 'running';
    stage.started = performance.now();
    delete stage.ended;
    delete stage.due;
    if (stage.bar === undefined) this.#show(stage);
  }

  #end(stage: Stage, outcome: Outcome): void {
    if (stage.outcome !== 'running') return;
    stage.outcome = outcome;
    stage.ended = performance.now();
    if (outcome === 'done') stage.percentage = 100;
    if (stage.bar === undefined) this.#logLine(stage);
    else stage.bar.update(stage.percentage, stage);
    this.#showWaiting();
  }

  /** A stage's line as it is now, above the bars. */
  #logLine(stage: Stage): void {
    this.#bars.log(`${drawStage(stage, this.#stream.columns || 80, performance.now())}\n`);
  }

  /** A line of its own above the bars; longer text wraps there. */
  #above(text: string): void {
    const line = `${oneLine(text)}\n`;
    if (this.#stages.size === 0) this.#stream.write(line);
    else this.#bars.log(line);
  }
}

/** One stage's line, never wider than the terminal: on a narrow one the bar shrinks and the metrics are cut. */
export function drawStage(stage: Omit<Stage, 'bar' | 'resource'>, columns: number, now: number): string {
  const labelWidth = columns < 60 ? 14 : 22;
  const barWidth = columns < 60 ? 8 : 24;
  const filled = Math.round((barWidth * stage.percentage) / 100);
  const parts = [
    `${signs[stage.outcome]} ${shorten(stage.label, labelWidth).padEnd(labelWidth)}`,
    `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`,
    `${String(stage.percentage).padStart(3)}%`,
    timeText(stage, now).padEnd(16),
    oneLine(metricsText(stage.metrics)),
  ];
  return shorten(parts.join(' ').trimEnd(), columns - 1);
}

function timeText({ outcome, started, ended, due }: Omit<Stage, 'bar' | 'resource'>, now: number): string {
  if (outcome !== 'running') return `in ${duration(((ended ?? now) - started) / 1000)}`;
  return due === undefined ? '' : `${duration((due - now) / 1000)} left`;
}
