/** From what holds now to the status's conditions, and to the events that tell of what has changed. */
import { type Condition, setCondition } from '../../../src/api/index.ts';

/** A condition that holds (or, of ProgressAvailable, does not). */
export interface Statement {
  readonly type: ConditionType;
  readonly reason: string;
  readonly message: string;
}

export type ConditionType =
  | 'Complete'
  | 'Failed'
  | 'Suspended'
  | 'Waiting'
  | 'Retrying'
  | 'ResultLost'
  | 'Outdated'
  | 'ProgressAvailable';

export interface EventToTell {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** What a condition says when it no longer holds. */
const ended: Readonly<Record<string, { readonly reason: string; readonly message: string }>> = {
  Complete: { reason: 'SpecChanged', message: 'the spec was changed: it is made again' },
  Failed: { reason: 'Restarted', message: 'another attempt was made' },
  Suspended: { reason: 'Resumed', message: 'spec.suspend is false' },
  Waiting: { reason: 'Proceeding', message: 'it waits for nothing' },
  Retrying: { reason: 'Proceeding', message: 'no pod has failed lately' },
  ResultLost: { reason: 'ResultFound', message: 'the result is here' },
  Outdated: { reason: 'Current', message: 'what it was made from has not changed' },
};

const mostMessage = 32_000;

/**
 * The conditions with what holds now; what held before and does not any more is False. ProgressAvailable is there only
 * while it is False, so that the True conditions are those worth reading.
 */
export function nextConditions(
  before: readonly Condition[] | undefined,
  statements: readonly Statement[],
  observedGeneration: number,
  now: Date,
): Condition[] {
  const time = now.toISOString();
  let conditions: Condition[] = [...(before ?? [])];
  for (const { type } of before ?? []) {
    if (statements.some((statement) => statement.type === type)) continue;
    const end = ended[type];
    const earlier = conditions.find((condition) => condition.type === type);
    if (end === undefined) conditions = conditions.filter((condition) => condition !== earlier);
    else if (earlier?.status === 'False') {
      conditions = setCondition(conditions, { ...earlier, observedGeneration }, time);
    } else conditions = setCondition(conditions, { type, status: 'False', ...end, observedGeneration }, time);
  }
  for (const { type, reason, message } of statements) {
    const status = type === 'ProgressAvailable' ? 'False' : 'True';
    const said = message.slice(0, mostMessage);
    conditions = setCondition(conditions, { type, status, reason, message: said, observedGeneration }, time);
  }
  return conditions;
}

const quiet: ReadonlySet<string> = new Set([
  'DependencyNotComplete',
  'Queued',
  'Terminating',
  'Suspending',
  'ResultPending',
]);

/** One event for each statement that did not hold before, or held for another reason. */
export function eventsOf(
  before: readonly Condition[] | undefined,
  statements: readonly Statement[],
): EventToTell[] {
  return statements
    .filter(({ type, reason }) => {
      const earlier = before?.find((condition) => condition.type === type);
      const held = earlier?.status === (type === 'ProgressAvailable' ? 'False' : 'True');
      return !held || earlier?.reason !== reason;
    })
    .map(({ type, reason, message }) => ({
      type: ['Complete', 'Suspended'].includes(type) || quiet.has(reason) ? 'Normal' : 'Warning',
      reason,
      message,
    }));
}
