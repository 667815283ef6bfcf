// The cells of the attack matrix that were made, also the bad ones.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What came of a method under an attack. */
export interface Finding {
  readonly attack: string;
  readonly method: string;
  /** Which test rows the plug-in answers rightly, in their order. */
  readonly rows: string;
  /** The mean negative log-likelihood of the right answers' tokens, in nats; null where it is not a number that is finite. */
  readonly loss: number | null;
  /** How many layers of each party were taken, the attackers last, and how many there are. */
  readonly taken: readonly number[];
  readonly layers: number;
  /** Of the whole aggregate. */
  readonly norm: string;
  /** The digest of its tensors: the same ones are not asked twice. */
  readonly aggregate?: string;
  /** In the place of all this: why the parties or what came of them were refused. */
  readonly refused?: string;
}

/** The model alone, under the name of no method. */
export const untouched = 'full model';

/** Where an adapter is refused before any method sees it. */
export const atTheDoor = 'at the door';

const path = fileURLToPath(new URL('findings.json', import.meta.url));

export const readFindings = (): Finding[] =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Finding[]) : [];

export const isKept = (attack: string, method: string): boolean =>
  readFindings().some((found) => found.attack === attack && found.method === method);

export function keep(finding: Finding): void {
  const others = readFindings().filter(
    ({ attack, method }) => attack !== finding.attack || method !== finding.method,
  );
  const lines = [...others, finding].map((each) => JSON.stringify(each));
  writeFileSync(`${path}.part`, `[\n${lines.join(',\n')}\n]\n`);
  renameSync(`${path}.part`, path);
}
