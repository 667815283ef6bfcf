// The names of a body while it runs, and those of the bodies around it.
import type { Body } from './nodes.ts';
import { type Held, missing, type Value } from './values.ts';

/** A loop at one of its items. */
export interface Loop {
  readonly items: readonly Value[];
  readonly at: number;
}

export class Scope {
  readonly #values: Map<string, Held>;
  readonly #around: Scope | undefined;
  readonly #body: Body | undefined;
  /** The innermost around. */
  readonly loop: Loop | undefined;

  constructor(
    body: Body | undefined,
    around: Scope | undefined,
    own: Iterable<readonly [string, Held]>,
    loop = around?.loop,
  ) {
    this.#values = new Map(own);
    this.#around = around;
    this.#body = body;
    this.loop = loop;
    const isKnown = (name: string) => (around === undefined ? false : around.#knows(name));
    for (const name of body?.hidden ?? [])
      if (!this.#values.has(name) && !isKnown(name)) this.#values.set(name, missing);
  }

  /** Whether the text of this body, or of one around it, has the name. */
  #knows(name: string): boolean {
    if (this.#body?.names.has(name)) return true;
    return this.#around === undefined ? false : this.#around.#knows(name);
  }

  /** The value of a name that was given one here or around. */
  get(name: string): Held | undefined {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.#around)
      if (scope.#values.has(name)) return scope.#values.get(name);
    return undefined;
  }

  set(name: string, value: Held): void {
    this.#values.set(name, value);
  }
}
