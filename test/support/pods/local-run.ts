import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import type { LiveResource } from '../cluster/resources.ts';
import { type Manifest, writeManifests } from '../tiny/index.ts';

const root = join(import.meta.dirname, '../../..');

/** `offsite run` of manifests on this machine, without a cluster. `directory` holds data/ and models/. */
export async function runLocally(directory: string, manifests: readonly Manifest[]): Promise<LiveResource[]> {
  const input = join(directory, 'resources.yaml');
  const work = join(directory, 'work');
  writeManifests(input, manifests);
  const mounts = ['models', 'data', 'artifacts'].flatMap((claim) => [
    '--mount',
    `${claim}=${join(directory, claim)}`,
  ]);
  const command = [join(root, 'bin/offsite.js'), 'run', '-f', input, '--work-dir', work, ...mounts];
  await promisify(execFile)(process.execPath, command);
  return manifests.map(({ kind, metadata }) => {
    const file = join(work, kind.toLowerCase(), metadata.name, 'resource.yaml');
    return parse(readFileSync(file, 'utf8')) as LiveResource;
  });
}
