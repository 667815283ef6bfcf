// What is known of candidates, kept beside the pooled states, so that a killed pod goes on and another budget asks nothing again.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  canonicalJson,
  type Keeper,
  readKeptJson,
  sha256,
  writeWholeAmongOthers,
} from '../../artifact/index.ts';

const bitsKept = z.strictObject({
  value: z.number(),
  stderr: z.number().optional(),
  withoutOne: z.number().optional(),
});

/** What looks tell of a candidate. */
const figures = z.strictObject({
  bitsKept,
  agreement: z.number(),
  agreementAtStart: z.number(),
  agreementTrained: z.number(),
});

/** What is told of each kind of measurement, by the ending of its file. */
const schemas = { auto: figures, sealed: bitsKept } as const;

type Kind = keyof typeof schemas;
type Kept<K extends Kind> = z.output<(typeof schemas)[K]>;

/** What was measured of candidates of one address: all that it depends on. */
export class KeptFile<K extends Kind> {
  readonly #kind: K;
  readonly #path: string;
  readonly #keeper: Keeper;
  readonly #found: Map<string, Kept<K>>;

  private constructor(kind: K, path: string, keeper: Keeper, found: Map<string, Kept<K>>) {
    this.#kind = kind;
    this.#path = path;
    this.#keeper = keeper;
    this.#found = found;
  }

  static async open<K extends Kind>(
    kind: K,
    work: string,
    address: unknown,
    keeper: Keeper,
  ): Promise<KeptFile<K>> {
    const name = sha256(canonicalJson(address)).replace('sha256:', '');
    const path = join(work, `${name}.${kind}.json`);
    mkdirSync(work, { recursive: true });
    await keeper.pull(path, { exact: true });
    return new KeptFile(kind, path, keeper, readKept(kind, path));
  }

  of(candidate: string): Kept<K> | undefined {
    return this.#found.get(candidate);
  }

  async add(candidate: string, found: Kept<K>): Promise<void> {
    this.#found.set(candidate, found);
    // Another build may measure the same at the same time: what it has found stays.
    const known = new Map([...readKept(this.#kind, this.#path), ...this.#found]);
    writeWholeAmongOthers(this.#path, canonicalJson(Object.fromEntries(known)));
    await this.#keeper.push(this.#path, { exact: true });
  }
}

function readKept<K extends Kind>(kind: K, path: string): Map<string, Kept<K>> {
  try {
    const found = z.record(z.string(), schemas[kind]).parse(readKeptJson(path));
    return new Map(Object.entries(found) as [string, Kept<K>][]);
  } catch {
    // A damaged file is as good as none: what it had is measured again.
    return new Map();
  }
}
