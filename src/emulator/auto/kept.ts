// What is known of candidates, kept beside the pooled states, so that a killed pod goes on and another budget asks nothing again.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  canonicalJson,
  isThere,
  type Keeper,
  readKept,
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

/** What is told of each kind of measurement, by the ending of its directory. */
const schemas = { auto: figures, sealed: bitsKept } as const;

type Kind = keyof typeof schemas;
type Kept<K extends Kind> = z.output<(typeof schemas)[K]>;

/** A candidate in a file of its own: builds that share a work place, or a store of it, write over nothing of each other's. */
const fileName = /^[0-9a-f]{64}\.json$/;

/** What was measured of candidates of one address: all that it depends on. */
export class KeptFigures<K extends Kind> {
  readonly #directory: string;
  readonly #keeper: Keeper;
  readonly #found: Map<string, Kept<K>>;

  private constructor(directory: string, keeper: Keeper, found: Map<string, Kept<K>>) {
    this.#directory = directory;
    this.#keeper = keeper;
    this.#found = found;
  }

  static async open<K extends Kind>(
    kind: K,
    work: string,
    address: unknown,
    keeper: Keeper,
  ): Promise<KeptFigures<K>> {
    const directory = join(work, `${hexOf(canonicalJson(address))}.${kind}`);
    await keeper.pull(directory, { exact: true });
    return new KeptFigures(directory, keeper, readIn(directory, kind));
  }

  of(candidate: string): Kept<K> | undefined {
    return this.#found.get(candidate);
  }

  async add(candidate: string, found: Kept<K>): Promise<void> {
    this.#found.set(candidate, found);
    mkdirSync(this.#directory, { recursive: true });
    const file = join(this.#directory, `${hexOf(candidate)}.json`);
    writeWholeAmongOthers(file, canonicalJson({ candidate, found }));
    await this.#keeper.push(file, { exact: true });
  }
}

const hexOf = (text: string): string => sha256(text).slice('sha256:'.length);

/** A damaged file is as good as none: what it had is measured again. */
function readIn<K extends Kind>(directory: string, kind: K): Map<string, Kept<K>> {
  const schema = z.object({ candidate: z.string(), found: schemas[kind] as z.ZodType });
  const kept = new Map<string, Kept<K>>();
  if (!isThere(directory)) return kept;
  for (const name of readdirSync(directory).filter((name) => fileName.test(name))) {
    const one = readKept(schema, join(directory, name));
    if (one !== undefined && name === `${hexOf(one.candidate)}.json`)
      kept.set(one.candidate, one.found as Kept<K>);
  }
  return kept;
}
