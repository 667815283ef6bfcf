/** What pods report over NATS, as far as the operator acts on it; `operator/progress` brings it. */
import type { Progress } from '../../src/api/index.ts';

export interface Reports {
  /** Whether NATS can be heard now. */
  readonly connected: boolean;
  progressOf(uid: string): Progress | undefined;
  /** The whole result of a stage, if it came. */
  resultOf(uid: string, stage: string): unknown;
  onReport(
    listener: (about: {
      readonly namespace: string;
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
    }) => void,
  ): void;
}

/** Credentials by which the pods of one run may publish that run's subjects and nothing else. */
export interface Credentials {
  /** @returns the text of a .creds file */
  issue(run: {
    readonly namespace: string;
    readonly kind: string;
    readonly name: string;
    readonly uid: string;
  }): string | Promise<string>;
}
