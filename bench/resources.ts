// Resources run as a user runs them: manifests, `offsite run`, and what their statuses say.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';

export const root = fileURLToPath(new URL('../', import.meta.url));

export interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

export const resource = (kind: string, name: string, spec: object): Resource & { apiVersion: string } => ({
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind,
  metadata: { name },
  spec,
});

/** Runs resources in a work place, where those that were done are not done again. @throws Error where one does not end well */
export function runResources(work: string, resources: readonly Resource[]): void {
  const file = join(work, 'resources.yaml');
  mkdirSync(work, { recursive: true });
  writeFileSync(file, resources.map((each) => stringify(each)).join('---\n'));
  execFileSync(process.execPath, ['bin/offsite.js', 'run', '-f', file, '--work-dir', join(work, 'work')], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
}

export function statusOf(work: string, { kind, metadata }: Resource): unknown {
  const path = join(work, 'work', kind.toLowerCase(), metadata.name, 'resource.yaml');
  return (parse(readFileSync(path, 'utf8')) as { status: unknown }).status;
}
