import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kind } from '../../../src/api/index.ts';
import { offsite, savedStatus } from '../offsite/index.ts';
import { type TinyManifests, tinyManifests, writeManifests, writeTinyProject } from '../tiny/index.ts';

/** The result that each stage's worker reports; probe makes nothing that a status shows. */
export type Results = Readonly<Record<'probe' | 'assemble' | 'tune' | 'plug', Record<string, unknown>>>;

export interface Recorded {
  manifests: TinyManifests;
  results: Results;
}

/** A real run of the tiny project on this machine (seconds): its manifests for a cluster, and what its stages found. */
export async function recordResults(): Promise<Recorded> {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-recorded-'));
  try {
    writeTinyProject(directory);
    const manifests = tinyManifests((place) => `pvc://claim/${place}`);
    writeManifests(join(directory, 'resources.yaml'), Object.values(manifests));
    const work = join(directory, 'work');
    const ended = await offsite([
      'run',
      ...['-f', join(directory, 'resources.yaml')],
      ...['--work-dir', work],
      ...['--mount', `claim=${directory}`],
    ]);
    if (ended.code !== 0) throw new Error(`offsite run ended with ${ended.code}: ${ended.stderr}`);
    const found = (kind: Kind, ...fields: string[]) => {
      const status = savedStatus(work, kind) as unknown as Record<string, unknown>;
      return Object.fromEntries(['artifact', ...fields].map((field) => [field, status[field]]));
    };
    return {
      manifests,
      results: {
        probe: {},
        assemble: found('EmulatorBuild', 'similarity', 'plan', 'scores'),
        tune: found('OffsiteTune', 'training', 'validation'),
        plug: found('PlugIn', 'evaluation', 'gates'),
      },
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
