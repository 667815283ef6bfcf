// The study's kept results: every run that was made, also the bad ones.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Finding } from './experiment.ts';

const path = fileURLToPath(new URL('findings.json', import.meta.url));

export function readFindings(): Finding[] {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Finding[]) : [];
}

/** Adds a finding; one of the same run takes its place. */
export function keep(finding: Finding): void {
  const others = readFindings().filter(({ key }) => key !== finding.key);
  writeFileSync(`${path}.part`, `${JSON.stringify([...others, finding], null, 1)}\n`);
  renameSync(`${path}.part`, path);
}
