// The displays for logs and scripts: plain lines at a limited rate, and JSON lines.
import { printableJson } from '../../api/index.ts';
import type { Metric, StageEvent } from '../events.ts';
import { keyOf, type ResourceIdentity } from '../resource.ts';
import { Allowance } from './allowance.ts';
import type { FinishedResource, Terminal } from './terminal.ts';
import { duration, oneLine } from './words.ts';

const leastMilliseconds = 1000;
const leastPercent = 5;
/** Long stages still show life: without 5% of progress a line comes this often. */
const heartbeatMilliseconds = 30_000;

/** Beyond these, what was shown longest ago is forgotten. */
const mostShown = 4096;

/** Plain lines for logs: a stage's progress each 5% (and now and then), never more than one line a second. */
export class LinesTerminal implements Terminal {
  readonly #stream: NodeJS.WritableStream;
  readonly #now: () => number;
  readonly #allowance: Allowance;
  readonly #shown = new Map<string, { time: number; percentage: number }>();

  constructor(stream: NodeJS.WritableStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#allowance = new Allowance(now);
  }

  event(resource: ResourceIdentity, event: StageEvent): void {
    const admitted = this.#allowance.admits(resource, event);
    if (typeof admitted === 'string') this.#line(title(resource), admitted);
    if (admitted !== true) return;
    if (event.type === 'warning') this.#line(title(resource), `warning: ${event.reason}: ${event.message}`);
    else if (event.type === 'result') {
      if (this.#isNews(`${keyOf(resource)}/${event.stage}/result`)) {
        this.#line(title(resource), `${event.stage}: done`);
      }
    } else if (this.#isDue(`${keyOf(resource)}/${event.stage}`, event.progressPercentage)) {
      this.#line(title(resource), `${event.stage}: ${progressText(event)}`);
    }
  }

  finished({ resource, status }: FinishedResource): void {
    this.#line(title(resource), outcomeText(status));
  }

  close(): void {}

  #isDue(stage: string, percentage: number): boolean {
    const time = this.#now();
    const shown = this.#shown.get(stage);
    if (shown !== undefined) {
      const waited = time - shown.time;
      const moved = percentage - shown.percentage >= leastPercent;
      const complete = percentage === 100 && shown.percentage < 100;
      if (!complete && (waited < leastMilliseconds || !(moved || waited >= heartbeatMilliseconds)))
        return false;
    }
    this.#note(stage, { time, percentage });
    return true;
  }

  /** Whether a second has gone by since the last of them. */
  #isNews(what: string): boolean {
    const time = this.#now();
    if (time - (this.#shown.get(what)?.time ?? Number.NEGATIVE_INFINITY) < leastMilliseconds) return false;
    this.#note(what, { time, percentage: 100 });
    return true;
  }

  #note(what: string, shown: { time: number; percentage: number }): void {
    this.#shown.delete(what);
    this.#shown.set(what, shown);
    if (this.#shown.size > mostShown) this.#shown.delete(this.#shown.keys().next().value!);
  }

  #line(...parts: string[]): void {
    this.#stream.write(`${parts.map(oneLine).join('  ')}\n`);
  }
}

/** Every event as one JSON object a line, none left out. */
export class JsonTerminal implements Terminal {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
  }

  event(resource: ResourceIdentity, event: StageEvent): void {
    this.#write({ ...identity(resource), ...event });
  }

  finished({ resource, status }: FinishedResource): void {
    const { phase, conditions } = status;
    this.#write({ ...identity(resource), type: 'finished', phase, conditions });
  }

  close(): void {}

  #write(value: unknown): void {
    this.#stream.write(`${printableJson(value)}\n`);
  }
}

const identity = ({ kind, metadata: { name, namespace } }: ResourceIdentity) => ({ kind, name, namespace });

const title = ({ kind, metadata }: ResourceIdentity) => `${kind} ${metadata.name}`;

function progressText(event: Extract<StageEvent, { type: 'progress' }>): string {
  const remaining = event.estimatedRemainingSeconds;
  const parts = [`${event.progressPercentage}%`];
  if (remaining !== undefined && event.progressPercentage < 100) parts.push(`${duration(remaining)} left`);
  if (event.metrics.length > 0) parts.push(metricsText(event.metrics));
  return parts.join(', ');
}

export const metricsText = (metrics: readonly Metric[]): string =>
  metrics.map(({ name, value }) => `${name} ${value}`).join('  ');

/** The phase, and the condition that explains it where a resource is not Complete. */
export function outcomeText({ phase = 'Unknown', conditions = [] }: FinishedResource['status']): string {
  const told = phase === 'Complete' ? undefined : conditions.findLast(({ status }) => status === 'True');
  return told === undefined ? phase : `${phase}: ${told.reason}: ${told.message}`;
}
