// Kubernetes conditions of a status: setting one in the list, and asking for one.
import { printableLines } from './printable.ts';
import type { Condition } from './status.ts';

const mostMessage = 32_768;

export type NewCondition = Omit<Condition, 'lastTransitionTime'>;

/**
 * The list with the condition set: one of each type, sorted by type; lastTransitionTime moves only when its status does. What
 * pods and servers said may stand in its message, so it is made printable, and cut to what the API server takes.
 * @param now the time of the change, RFC 3339
 */
export function setCondition(
  conditions: readonly Condition[] | undefined,
  condition: NewCondition,
  now = new Date().toISOString(),
): Condition[] {
  const earlier = conditions?.find(({ type }) => type === condition.type);
  const lastTransitionTime = earlier?.status === condition.status ? earlier.lastTransitionTime : now;
  return [
    ...(conditions ?? []).filter(({ type }) => type !== condition.type),
    {
      ...condition,
      message: printableLines(condition.message).slice(0, mostMessage),
      lastTransitionTime,
    },
  ].sort((a, b) => (a.type < b.type ? -1 : 1));
}

/** Whether the condition of this type is True. */
export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;
}
