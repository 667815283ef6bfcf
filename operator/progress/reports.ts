/** What pods tell over NATS, remembered by resource until it is forgotten. */
import type { Progress } from '../../src/api/index.ts';
import { consumeEvents, type Delivered, type StageEvent } from '../../src/progress/index.ts';
import type { Run } from './credentials.ts';
import { durable } from './keys.ts';

export interface ReportsOptions {
  readonly url: string;
  /** A .creds file's text, or nothing where NATS asks for none. */
  readonly credentialsText?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv | undefined;
  /** Told, with a code, of what failed and is tried again. */
  readonly failed?: (code: string) => void;
}

export interface Warning {
  readonly reason: string;
  readonly message: string;
  readonly time: string;
}

type ProgressEvent = Extract<StageEvent, { type: 'progress' }>;

/** The latest progress of one share of a stage, whichever pod has it. */
interface Heard {
  readonly event: ProgressEvent;
  /** How many shares there are. */
  readonly count: number;
  readonly streamSequence: number;
  readonly time: Date;
}

interface HeardWarning extends Warning {
  /** Who said it, and as which of its events: what comes again is known by it. */
  readonly id: string;
  readonly streamSequence: number;
}

/** All that is known of one resource; of everything the latest in the stream's order, whenever it was delivered. */
interface Known {
  /** The latest that was heard of; 0 of pods that do not tell: those of an earlier release, which an upgrade lets run on. */
  readonly attempt: number;
  /** By stage, then by the share's number. */
  readonly progress: Map<string, Map<number, Heard>>;
  readonly results: Map<string, { readonly result: unknown; readonly streamSequence: number }>;
  warnings: HeardWarning[];
  latest: { readonly stage: string; readonly streamSequence: number };
}

const mostWarnings = 20;
const mostStages = 32;

export class Reports {
  readonly #options: ReportsOptions;
  readonly #known = new Map<string, Known>();
  readonly #listeners: ((run: Run) => void)[] = [];
  #connected = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  /** Listens until `signal` is aborted. @throws BadSpec for an unusable URL or credentials */
  async start(signal: AbortSignal): Promise<void> {
    const { url, credentialsText, environment, failed } = this.#options;
    await consumeEvents(
      {
        url,
        credentialsText,
        environment,
        durable,
        signal,
        failed,
        connected: (connected) => {
          this.#connected = connected;
        },
      },
      (delivered) => this.accept(delivered),
    );
  }

  /** Whether NATS can be heard now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** How far the latest stage is: where pods share it, the mean of all, and the time that the slowest has left. */
  progressOf(uid: string, attempt?: number, now = new Date()): Progress | undefined {
    const known = this.#of(uid, attempt);
    const heard = [...(known?.progress.get(known.latest.stage)?.values() ?? [])];
    const latest = heard.toSorted((a, b) => b.streamSequence - a.streamSequence)[0];
    if (latest === undefined) return undefined;
    const { event, count, time } = latest;
    // A share that was not heard of has not begun; those of another division are of an earlier attempt.
    const shares = heard.filter((other) => other.count === count).map((other) => other.event);
    const done = shares.reduce((sum, { progressPercentage }) => sum + progressPercentage, 0);
    const remaining = shares.flatMap(({ estimatedRemainingSeconds }) => estimatedRemainingSeconds ?? []);
    return {
      stage: event.stage,
      progressPercentage: Math.floor(done / count),
      ...(remaining.length > 0 && { estimatedRemainingSeconds: Math.max(...remaining) }),
      metrics: distinct(event.metrics),
      lastUpdatedTime: (time > now ? now : time).toISOString(),
    };
  }

  /** The whole result of a stage, if it came; of this attempt where one is given. */
  resultOf(uid: string, stage: string, attempt?: number): unknown {
    return this.#of(uid, attempt)?.results.get(stage)?.result;
  }

  /** The latest warnings, oldest first. */
  warningsOf(uid: string): readonly Warning[] {
    const known = this.#known.get(uid)?.warnings ?? [];
    return known.map(({ reason, message, time }) => ({ reason, message, time }));
  }

  onReport(listener: (run: Run) => void): void {
    this.#listeners.push(listener);
  }

  /** Of a resource that is gone. */
  forget(uid: string): void {
    this.#known.delete(uid);
  }

  /** Takes one message in; what comes twice or late changes nothing. */
  accept(delivered: Delivered): void {
    const { namespace, kind, name, uid, event, attempt = 0 } = delivered.message;
    let known = this.#known.get(uid) ?? nothingKnown(attempt);
    if (attempt < known.attempt && event.type !== 'warning') return;
    if (attempt > known.attempt) known = { ...nothingKnown(attempt), warnings: known.warnings };
    this.#known.set(uid, known);
    const isNews =
      event.type === 'progress'
        ? acceptProgress(known, event, delivered)
        : event.type === 'warning'
          ? acceptWarning(known, event, delivered)
          : acceptResult(known, event, delivered);
    if (isNews) for (const listener of this.#listeners) listener({ namespace, kind, name, uid });
  }

  #of(uid: string, attempt: number | undefined): Known | undefined {
    const known = this.#known.get(uid);
    return attempt === undefined || known?.attempt === 0 || known?.attempt === attempt ? known : undefined;
  }
}

const nothingKnown = (attempt: number): Known => ({
  attempt,
  progress: new Map(),
  results: new Map(),
  warnings: [],
  latest: { stage: '', streamSequence: 0 },
});

function acceptProgress(
  known: Known,
  event: ProgressEvent,
  { message: { shard = { index: 0, count: 1 } }, streamSequence, time }: Delivered,
): boolean {
  const { index, count } = shard;
  const shares = known.progress.get(event.stage) ?? new Map<number, Heard>();
  if (streamSequence <= (shares.get(index)?.streamSequence ?? 0)) return false;
  shares.set(index, { event, count, streamSequence, time });
  // Set anew, so that the first is the stage that was silent for longest.
  known.progress.delete(event.stage);
  known.progress.set(event.stage, shares);
  dropFirst(known.progress, mostStages);
  if (streamSequence > known.latest.streamSequence) known.latest = { stage: event.stage, streamSequence };
  return true;
}

function acceptWarning(
  known: Known,
  { reason, message: text }: Extract<StageEvent, { type: 'warning' }>,
  { message: { publisher, sequence }, streamSequence, time }: Delivered,
): boolean {
  const id = `${publisher}/${sequence}`;
  const oldest = known.warnings.length === mostWarnings ? known.warnings[0]!.streamSequence : 0;
  if (streamSequence < oldest || known.warnings.some((other) => other.id === id)) return false;
  const warning = { id, streamSequence, reason, message: text, time: time.toISOString() };
  known.warnings = [...known.warnings, warning]
    .sort((a, b) => a.streamSequence - b.streamSequence)
    .slice(-mostWarnings);
  return true;
}

function acceptResult(
  known: Known,
  { stage, result }: Extract<StageEvent, { type: 'result' }>,
  { streamSequence }: Delivered,
): boolean {
  if (streamSequence <= (known.results.get(stage)?.streamSequence ?? 0)) return false;
  known.results.delete(stage);
  known.results.set(stage, { result, streamSequence });
  dropFirst(known.results, mostStages);
  return true;
}

function dropFirst(map: Map<string, unknown>, most: number): void {
  if (map.size > most) map.delete(map.keys().next().value as string);
}

/** A list keyed by name, as the status has it: the last of each name. */
const distinct = (metrics: ProgressEvent['metrics']): ProgressEvent['metrics'] => [
  ...new Map(metrics.map((metric) => [metric.name, metric])).values(),
];
