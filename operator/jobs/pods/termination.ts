/** What the worker of a pod left behind. */
import { readTermination, type Termination } from '../../../src/api/index.ts';
import { type Pod, workerTerminated } from '../objects.ts';

/** Undefined where the container did not end, or left something else. */
export function terminationOf(pod: Pod): Termination | undefined {
  const text = workerTerminated(pod)?.message;
  return text === undefined ? undefined : readTermination(text);
}
