// The preference runs that were made, as their PlugIns' statuses have them.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TaskResult } from '../../src/api/index.ts';
import type { Setting } from './settings.ts';

/** How many of the pairs each model prefers rightly (acc), with the differences between them. */
export type Cells = Pick<TaskResult, 'samples' | 'cells' | 'differences'>;

export interface Finding extends Setting, Cells {}

const path = fileURLToPath(new URL('findings.json', import.meta.url));

export const readFindings = (): Finding[] =>
  existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Finding[]) : [];

/** A setting's runs on other numbers of test pairs are runs of their own. */
export const isKept = (name: string, samples: number): boolean => readFindings().some(isOf(name, samples));

export function keep(finding: Finding): void {
  const isSame = isOf(finding.name, finding.samples);
  const others = readFindings().filter((found) => !isSame(found));
  writeFileSync(`${path}.part`, `${JSON.stringify([...others, finding], null, 2)}\n`);
  renameSync(`${path}.part`, path);
}

const isOf = (name: string, samples: number) => (found: Finding) =>
  found.name === name && found.samples === samples;
