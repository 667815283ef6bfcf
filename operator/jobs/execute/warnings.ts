/** Turns what pods warn of over NATS into Kubernetes events of their resource, each once. */
import type { EventType, KubeObject } from '../../runtime/index.ts';
import type { Reports } from '../reports.ts';

interface Recorder {
  event(object: KubeObject, type: EventType, reason: string, message: string): void;
}

/** Reasons are words in CamelCase; anyone's text is no reason. */
const reasonPattern = /^[A-Z][A-Za-z0-9]{0,63}$/;

export class Warnings {
  readonly #reports: Pick<Reports, 'warningsOf'>;
  readonly #events: Recorder;
  readonly #told = new Map<string, Set<string>>();

  constructor(reports: Pick<Reports, 'warningsOf'>, events: Recorder) {
    this.#reports = reports;
    this.#events = events;
  }

  /** Tells those of a resource's warnings that were not told yet. */
  tell(object: KubeObject): void {
    const uid = object.metadata.uid ?? '';
    const told = this.#told.get(uid) ?? new Set();
    const warnings = this.#reports.warningsOf(uid);
    const keys = warnings.map(({ reason, message, time }) => JSON.stringify([time, reason, message]));
    for (const [i, { reason, message }] of warnings.entries()) {
      if (told.has(keys[i]!)) continue;
      this.#events.event(object, 'Warning', reasonPattern.test(reason) ? reason : 'WorkerWarning', message);
    }
    // Only what is still reported can come again.
    if (keys.length > 0) this.#told.set(uid, new Set(keys));
  }

  forget(uid: string): void {
    this.#told.delete(uid);
  }
}
