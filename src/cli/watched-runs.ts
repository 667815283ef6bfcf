// Which runs of one name are heard of over NATS, and whether all of them have ended.
import { isKind, stagesOf } from '../api/index.ts';
import type { HeardMessage } from '../progress/index.ts';

interface Run {
  /** When something was first heard of it: of an earlier resource of the name before that. */
  readonly since: number;
  /** 0 where nobody counts them. */
  readonly attempt: number;
  readonly hasEnded: boolean;
}

/** The newest run of each namespace: what an earlier resource of the name, or an earlier attempt, has told ends nothing. */
export class WatchedRuns {
  /** By uid, of each namespace. */
  readonly #runs = new Map<string, Map<string, Run>>();

  hear(message: HeardMessage): void {
    const { namespace, uid, attempt = 0, heard } = message;
    const runs = this.#runs.get(namespace) ?? new Map<string, Run>();
    this.#runs.set(namespace, runs);
    const known = runs.get(uid) ?? { since: heard, attempt, hasEnded: false };
    const hasEnded = isLast(message);
    const since = Math.min(known.since, heard);
    if (attempt < known.attempt) runs.set(uid, { ...known, since });
    else if (attempt > known.attempt) runs.set(uid, { since, attempt, hasEnded });
    else runs.set(uid, { since, attempt, hasEnded: known.hasEnded || hasEnded });
  }

  get haveEnded(): boolean {
    return (
      this.#runs.size > 0 &&
      [...this.#runs.values()].every((runs) => {
        const newest = [...runs.values()].reduce((a, b) => (b.since > a.since ? b : a));
        return newest.hasEnded;
      })
    );
  }
}

const isLast = ({ kind, event }: HeardMessage): boolean =>
  event.type === 'result' && isKind(kind) && stagesOf(kind).at(-1) === event.stage;
