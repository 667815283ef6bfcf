// An informer's objects in memory: indexed, and told apart from late and repeated events by their versions.
import { isNewer, type KubeObject, keyFrom, keyOf } from '../api/objects.ts';
import type { WatchEvent } from '../api/watch.ts';

/** What happened to one object: added (no old), changed (both), or deleted (no object). */
export interface Change<T extends KubeObject> {
  object?: T;
  old?: T;
}

export type Indexes<T> = Record<string, (object: T) => string[]>;

/** Deleted UIDs that are remembered with their last version, so that a late event does not bring its object back. */
const mostDead = 1000;

/**
 * The objects of one kind, as far as the watch has come. Lists and events of any quality go in; what has really changed
 * comes out: an event that came twice or late changes nothing, and an object deleted and created again under its name
 * is a deletion and an addition.
 */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #functions: Indexes<T>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #dead = new Map<string, string | undefined>();

  constructor(indexes: Indexes<T> = {}) {
    this.#functions = indexes;
    for (const index of Object.keys(indexes)) this.#indexes.set(index, new Map());
  }

  get size(): number {
    return this.#objects.size;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.#objects.get(keyFrom(namespace, name));
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  /** @throws for an index that was not declared */
  byIndex(index: string, value: string): T[] {
    const values = this.#indexes.get(index);
    if (values === undefined) throw new Error(`no index ${index}`);
    return [...(values.get(value) ?? [])].map((key) => this.#objects.get(key)!);
  }

  /** Takes a whole list, which is right whatever was known before. */
  replace(items: readonly T[]): Change<T>[] {
    const listed = new Set(items.map(keyOf));
    this.#dead.clear();
    const gone = [...this.#objects].filter(([key]) => !listed.has(key)).map(([, old]) => ({ old }));
    const found = items.flatMap((object) => {
      const old = this.#objects.get(keyOf(object));
      return old?.metadata.uid === object.metadata.uid &&
        old?.metadata.resourceVersion === object.metadata.resourceVersion
        ? []
        : this.#changesTo(object, old);
    });
    return this.#commit([...gone, ...found]);
  }

  /** Takes one event; bookmarks change nothing. */
  take({ type, object }: WatchEvent<T>): Change<T>[] {
    const old = this.#objects.get(keyOf(object));
    const { uid = '', resourceVersion } = object.metadata;
    if (type === 'BOOKMARK' || this.#isLate(uid, resourceVersion)) return [];
    if (type === 'DELETED') {
      this.#bury(uid, resourceVersion);
      return this.#commit(old?.metadata.uid === object.metadata.uid ? [{ old: object }] : []);
    }
    if (old !== undefined && !isNewer(resourceVersion, old.metadata.resourceVersion)) return [];
    return this.#commit(this.#changesTo(object, old));
  }

  #changesTo(object: T, old: T | undefined): Change<T>[] {
    if (old === undefined) return [{ object }];
    return old.metadata.uid === object.metadata.uid ? [{ object, old }] : [{ old }, { object }];
  }

  #commit(changes: Change<T>[]): Change<T>[] {
    for (const { object, old } of changes) {
      const key = keyOf((object ?? old)!);
      const stored = this.#objects.get(key);
      if (stored !== undefined) this.#unindex(key, stored);
      if (object === undefined) this.#objects.delete(key);
      else {
        this.#objects.set(key, object);
        this.#index(key, object);
      }
    }
    return changes;
  }

  #index(key: string, object: T): void {
    for (const [index, values] of this.#indexes) {
      for (const value of this.#functions[index]!(object)) {
        const keys = values.get(value);
        if (keys === undefined) values.set(value, new Set([key]));
        else keys.add(key);
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [index, values] of this.#indexes) {
      for (const value of this.#functions[index]!(object)) {
        const keys = values.get(value);
        keys?.delete(key);
        if (keys?.size === 0) values.delete(value);
      }
    }
  }

  /** An object whose labels left the selector was told as deleted, too; when they are put back, it is newer than that. */
  #isLate(uid: string, version: string | undefined): boolean {
    return this.#dead.has(uid) && !isNewer(version, this.#dead.get(uid));
  }

  #bury(uid: string, version: string | undefined): void {
    this.#dead.delete(uid);
    this.#dead.set(uid, version);
    if (this.#dead.size > mostDead) this.#dead.delete(this.#dead.keys().next().value!);
  }
}
