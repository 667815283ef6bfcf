// Which runs of one name are heard of over NATS, and whether all of them have ended.
import { isKind, stagesOf } from '../api/index.ts';
import type { EventMessage } from '../progress/index.ts';

interface Run {
  readonly uid: string;
  /** 0 where nobody counts them. */
  readonly attempt: number;
  readonly hasEnded: boolean;
}

/** The newest run of each namespace: what an earlier resource of the name, or an earlier attempt, has told ends nothing. */
export class WatchedRuns {
  readonly #newest = new Map<string, Run>();
  readonly #earlier = new Set<string>();

  /** Messages come in the order in which they were told. */
  hear(message: EventMessage): void {
    const { namespace, uid, attempt = 0 } = message;
    const known = this.#newest.get(namespace);
    if (this.#earlier.has(uid) || (known?.uid === uid && attempt < known.attempt)) return;
    if (known !== undefined && known.uid !== uid) this.#earlier.add(known.uid);
    const isSame = known?.uid === uid && known.attempt === attempt;
    this.#newest.set(namespace, { uid, attempt, hasEnded: (isSame && known.hasEnded) || isLast(message) });
  }

  get haveEnded(): boolean {
    const runs = [...this.#newest.values()];
    return runs.length > 0 && runs.every(({ hasEnded }) => hasEnded);
  }
}

const isLast = ({ kind, event }: EventMessage): boolean =>
  event.type === 'result' && isKind(kind) && stagesOf(kind).at(-1) === event.stage;
