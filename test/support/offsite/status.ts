import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** What a test looks at in resource.yaml. */
export interface SavedStatus {
  phase: string;
  conditions: { type: string; status: string; reason: string; message: string }[];
  artifact?: { digest: string; uri: string; sizeBytes: number };
}

/** The status that `offsite run` wrote for a resource of the work directory. */
export function savedStatus(workDirectory: string, kind: string, name = 'tiny'): SavedStatus {
  const file = join(workDirectory, kind.toLowerCase(), name, 'resource.yaml');
  return (parse(readFileSync(file, 'utf8')) as { status: SavedStatus }).status;
}

/** The Failed condition of a resource. */
export function failureOf(workDirectory: string, kind: string, name = 'tiny') {
  const { phase, conditions } = savedStatus(workDirectory, kind, name);
  const failed = conditions.find(({ type }) => type === 'Failed');
  if (failed === undefined) throw new Error(`${kind} ${name} is ${phase}, it did not fail`);
  return failed;
}

/** The digest of the artifact in a directory, from its manifest's bytes; undefined where there is none. */
export function digestIn(directory: string): string | undefined {
  const manifest = join(directory, 'manifest.json');
  if (!existsSync(manifest)) return undefined;
  return `sha256:${createHash('sha256').update(readFileSync(manifest)).digest('hex')}`;
}
