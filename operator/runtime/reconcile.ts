// The context of a reconcile, carried along its asynchronous calls.
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

/** One look at one key: what every log line says that it leads to. */
export interface Reconcile {
  readonly reconcileId: string;
  readonly controller: string;
  readonly key: string;
}

const present = new AsyncLocalStorage<Reconcile>();

/** Runs `flight`, and all that it waits for, as a reconcile of its own. */
export const inReconcile = <T>(what: Omit<Reconcile, 'reconcileId'>, flight: () => T): T =>
  present.run({ reconcileId: randomUUID(), ...what }, flight);

/** The reconcile that runs now; empty outside of all. */
export const presentReconcile = (): Partial<Reconcile> => ({ ...present.getStore() });

/** For what is done later, by somebody else: runs it as part of the reconcile that runs now. */
export const laterInReconcile = (): (<T>(work: () => T) => T) => AsyncLocalStorage.snapshot();
