/** What pods report over NATS, as far as the operator acts on it; `operator/progress` brings it. */
import type { Progress } from '../../src/api/index.ts';
import type { RunAddress, StoreState } from '../../src/progress/index.ts';

export interface Warning {
  readonly reason: string;
  readonly message: string;
  readonly time: string;
}

export interface Reports {
  /** Listens until the signal aborts. Only one process may: a report reaches one listener. */
  start(signal: AbortSignal): Promise<void>;
  /** Whether NATS can be heard now. */
  readonly connected: boolean;
  /** How NATS keeps events; undefined while nobody has looked. */
  readonly store?: StoreState | undefined;
  /** How far this attempt is; nothing where only others were heard of. */
  progressOf(uid: string, attempt: number): Progress | undefined;
  /** The whole result of a stage of this attempt, if it came. */
  resultOf(uid: string, stage: string, attempt: number): unknown;
  /** Whether it came; nothing of it is read. */
  hasResult(uid: string, stage: string, attempt: number): boolean;
  /** The latest, oldest first. */
  warningsOf(uid: string): readonly Warning[];
  /** The resource is gone. */
  forget(uid: string): void;
  /** What was heard is the latest of its sort, however much of the run is known already. */
  onReport(listener: (about: RunAddress, heard: 'progress' | 'warning' | 'result') => void): void;
}

/** Credentials by which the pods of one run may publish that run's subjects and nothing else. */
export interface Credentials {
  /** @returns the text of a .creds file */
  /** PEM certificates by which the run's pods know NATS; absent where they know it already. */
  readonly authority?: string | undefined;
  issue(run: RunAddress): string | Promise<string>;
}
