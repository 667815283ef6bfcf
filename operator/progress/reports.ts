/** What pods tell over NATS, remembered by resource until it is forgotten. */
import { isStageOf, type Progress } from '../../src/api/index.ts';
import {
  consumeEvents,
  type Delivered,
  type RunAddress,
  type StageEvent,
  type StoreState,
} from '../../src/progress/index.ts';
import { durable } from './keys.ts';
import { Results } from './results.ts';

export interface ReportsOptions {
  readonly url: string;
  /** A .creds file's text, or nothing where NATS asks for none. */
  readonly credentialsText?: string | undefined;
  readonly environment?: NodeJS.ProcessEnv | undefined;
  /** Told, with a code, of what failed and is tried again. */
  readonly failed?: (code: string) => void;
  /** Told when NATS, which is heard, no longer keeps what is published. */
  readonly refused?: () => void;
  /** Whether this process may still take what it hears away from another; by default it may. */
  readonly mayTake?: () => boolean;
}

export interface Warning {
  readonly reason: string;
  readonly message: string;
  readonly time: string;
}

type ProgressEvent = Extract<StageEvent, { type: 'progress' }>;

/** How far one share of a stage is, whichever pod has it. */
interface Heard {
  readonly percentage: number;
  readonly remainingSeconds: number | undefined;
  /** How many shares there are. */
  readonly count: number;
  readonly order: number;
}

interface HeardWarning extends Warning {
  /** Who said it, and as which of its events: what comes again is known by it. */
  readonly id: string;
  readonly order: number;
}

/** What is known of one resource beside its results; of everything the latest, whenever it was delivered. */
interface Known {
  /** The latest that was heard of; 0 of pods that do not tell: those of an earlier release, which an upgrade lets run on. */
  readonly attempt: number;
  /** By stage, then by the share's number. */
  readonly progress: Map<string, Map<number, Heard>>;
  warnings: HeardWarning[];
  /** What it takes, about, as it was kept last. */
  bytes: number;
  latest: {
    readonly stage: string;
    readonly count: number;
    readonly metrics: ProgressEvent['metrics'];
    readonly order: number;
    readonly time: Date;
  };
}

const mostWarnings = 20;
/** What is told of one, and the API server's limit for an event's note. */
const mostWarningCharacters = 1024;
const mostStages = 8;
/** Of all stages together; a stage is divided among 1,024 at most. */
const mostShares = 2048;
/** Of all runs together, about. */
const mostBytes = 32 * 2 ** 20;

type Listener = (run: RunAddress, heard: StageEvent['type']) => void;

export class Reports {
  readonly #options: ReportsOptions;
  readonly #known = new Map<string, Known>();
  readonly #results = new Results();
  readonly #listeners: Listener[] = [];
  readonly #mostBytes: number;
  #bytes = 0;
  #connected = false;
  #store: StoreState | undefined;

  constructor(options: ReportsOptions, bytes = mostBytes) {
    this.#options = options;
    this.#mostBytes = bytes;
  }

  /** Listens until `signal` is aborted. @throws BadSpec for an unusable URL or credentials */
  async start(signal: AbortSignal): Promise<void> {
    const { url, credentialsText, environment, failed, refused, mayTake } = this.#options;
    await consumeEvents(
      {
        url,
        credentialsText,
        environment,
        durable,
        signal,
        failed,
        mayTake,
        store: (state) => {
          if (!state.accepts && this.#store?.accepts !== false) refused?.();
          this.#store = state;
        },
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

  /** How NATS keeps events; undefined while nobody has looked. */
  get store(): StoreState | undefined {
    return this.#store;
  }

  /** How far the latest stage is: where pods share it, the mean of all, and the time that the slowest has left. */
  progressOf(uid: string, attempt?: number, now = new Date()): Progress | undefined {
    const known = this.#of(uid, attempt);
    const heard = known?.progress.get(known.latest.stage);
    if (known === undefined || heard === undefined) return undefined;
    const { stage, count, metrics, time } = known.latest;
    // A share that was not heard of has not begun; those of another division are of an earlier attempt.
    const shares = [...heard.values()].filter((share) => share.count === count);
    const done = shares.reduce((sum, { percentage }) => sum + percentage, 0);
    const remaining = shares.flatMap(({ remainingSeconds }) => remainingSeconds ?? []);
    return {
      stage,
      progressPercentage: Math.floor(done / count),
      ...(remaining.length > 0 && { estimatedRemainingSeconds: Math.max(...remaining) }),
      metrics: distinct(metrics),
      lastUpdatedTime: (time > now ? now : time).toISOString(),
    };
  }

  /** The whole result of a stage, if it came; of this attempt where one is given. */
  resultOf(uid: string, stage: string, attempt?: number): unknown {
    return this.#of(uid, attempt) && this.#results.get(uid, stage);
  }

  /** Whether it came; nothing of it is read. */
  hasResult(uid: string, stage: string, attempt?: number): boolean {
    return this.#of(uid, attempt) !== undefined && this.#results.has(uid, stage);
  }

  /** The latest warnings, oldest first. */
  warningsOf(uid: string): readonly Warning[] {
    const known = this.#known.get(uid)?.warnings ?? [];
    return known.map(({ reason, message, time }) => ({ reason, message, time }));
  }

  onReport(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** Of a resource that is gone. */
  forget(uid: string): void {
    this.#bytes -= this.#known.get(uid)?.bytes ?? 0;
    this.#known.delete(uid);
    this.#results.forget(uid);
  }

  /** Takes one message in; what comes twice or late changes nothing. */
  accept(delivered: Delivered): void {
    const { namespace, kind, name, uid, event, attempt = 0 } = delivered.message;
    let known = this.#known.get(uid) ?? nothingKnown(attempt);
    if (attempt < known.attempt && event.type !== 'warning') return;
    if (attempt > known.attempt) {
      known = { ...nothingKnown(attempt), warnings: known.warnings };
      this.#results.forget(uid);
    }
    const isNews =
      event.type === 'progress'
        ? acceptProgress(known, event, delivered)
        : event.type === 'warning'
          ? acceptWarning(known, event, delivered)
          : this.#acceptResult(event, delivered);
    // What is no news leaves nothing: of a resource that is gone, nobody is told to forget it.
    if (!isNews) return;
    this.#keep(uid, known);
    for (const listener of this.#listeners) listener({ namespace, kind, name, uid }, event.type);
  }

  /** Where there is no more room, the runs that were silent for longest are forgotten: their next message, or their pod's end, has it. */
  #keep(uid: string, known: Known): void {
    this.#bytes -= this.#known.get(uid)?.bytes ?? 0;
    known.bytes = bytesOf(known);
    this.#bytes += known.bytes;
    this.#known.delete(uid);
    this.#known.set(uid, known);
    for (const oldest of this.#known.keys()) {
      if (this.#bytes <= this.#mostBytes) break;
      this.forget(oldest);
    }
  }

  #acceptResult(
    { stage, result }: Extract<StageEvent, { type: 'result' }>,
    { message, order }: Delivered,
  ): boolean {
    const { kind, uid } = message;
    if (!isStageOf(kind, stage) || order <= this.#results.orderOf(uid, stage)) return false;
    this.#results.set(uid, stage, { result, order });
    return true;
  }

  #of(uid: string, attempt: number | undefined): Known | undefined {
    const known = this.#known.get(uid);
    return attempt === undefined || known?.attempt === 0 || known?.attempt === attempt ? known : undefined;
  }
}

const nothingKnown = (attempt: number): Known => ({
  attempt,
  progress: new Map(),
  warnings: [],
  bytes: 0,
  latest: { stage: '', count: 1, metrics: [], order: 0, time: new Date(0) },
});

function acceptProgress(
  known: Known,
  { stage, progressPercentage, estimatedRemainingSeconds, metrics }: ProgressEvent,
  { message: { shard = { index: 0, count: 1 } }, order, time }: Delivered,
): boolean {
  const { index, count } = shard;
  const shares = known.progress.get(stage) ?? new Map<number, Heard>();
  if (order <= (shares.get(index)?.order ?? 0)) return false;
  shares.set(index, {
    ...{ percentage: progressPercentage, remainingSeconds: estimatedRemainingSeconds },
    ...{ count, order },
  });
  // Set anew, so that the first is the stage that was silent for longest.
  known.progress.delete(stage);
  known.progress.set(stage, shares);
  while (known.progress.size > mostStages || sharesIn(known) > mostShares)
    known.progress.delete(known.progress.keys().next().value as string);
  if (order > known.latest.order) known.latest = { stage, count, metrics, order, time };
  return true;
}

/** Measured, about: of a share, of a warning beside its text, of a metric with its name and value. */
const bytesEach = { run: 1024, share: 160, warning: 320, metric: 256 };

function bytesOf(known: Known): number {
  const texts = known.warnings.reduce((sum, { message, reason }) => sum + message.length + reason.length, 0);
  return (
    bytesEach.run +
    bytesEach.share * sharesIn(known) +
    bytesEach.warning * known.warnings.length +
    2 * texts +
    bytesEach.metric * known.latest.metrics.length
  );
}

const sharesIn = ({ progress }: Known): number =>
  [...progress.values()].reduce((sum, { size }) => sum + size, 0);

function acceptWarning(
  known: Known,
  { reason, message: text }: Extract<StageEvent, { type: 'warning' }>,
  { message: { publisher, sequence }, order, time }: Delivered,
): boolean {
  const id = `${publisher}/${sequence}`;
  const oldest = known.warnings.length === mostWarnings ? known.warnings[0]!.order : 0;
  if (order < oldest || known.warnings.some((other) => other.id === id)) return false;
  // A copy: what is only cut keeps all that it was cut from.
  const message = Buffer.from(text.slice(0, mostWarningCharacters), 'utf16le').toString('utf16le');
  known.warnings = [...known.warnings, { id, order, reason, message, time: time.toISOString() }]
    .sort((a, b) => a.order - b.order)
    .slice(-mostWarnings);
  return true;
}

/** A list keyed by name, as the status has it: the last of each name. */
const distinct = (metrics: ProgressEvent['metrics']): ProgressEvent['metrics'] => [
  ...new Map(metrics.map((metric) => [metric.name, metric])).values(),
];
