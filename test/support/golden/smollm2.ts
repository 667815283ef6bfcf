import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The real model, put there by the set-up. */
export const smollm2 = fileURLToPath(new URL('../../../.offsite/models/smollm2', import.meta.url));
if (!existsSync(smollm2))
  throw new Error('.offsite/models/smollm2 is not there; run make setup (or make test)');

/** A fixture that a script in test/reference wrote with PyTorch. */
export function fixture<Reference>(name: string): Reference {
  const path = new URL(`../../fixtures/smollm2/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, 'utf8')) as Reference;
}

/** A work directory that is gone after the test. */
export function workDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'offsite-golden-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function writeRows(path: string, rows: readonly unknown[]): void {
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

export interface ReferencePlan {
  kept: number[];
  transferLayers: number[];
  source: number[];
}
