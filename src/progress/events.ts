// The events of a running stage: progress, warnings and its result.

/** A named figure, for status and bars; numbers with a fraction travel as strings. */
export interface Metric {
  name: string;
  value: string;
}

/** What a running stage tells: it goes to the terminal's bars, to NATS and into the resource's status. */
export type StageEvent =
  | {
      type: 'progress';
      stage: string;
      progressPercentage: number;
      estimatedRemainingSeconds?: number;
      metrics: Metric[];
    }
  | { type: 'warning'; reason: string; message: string }
  | { type: 'result'; stage: string; result: unknown };

export type Emit = (event: StageEvent) => void;
