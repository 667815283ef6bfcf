// The lock on a work dir: one run at a time writes there.
import { join } from 'node:path';
import { badSpec } from '../api/index.ts';
import { DiskLock, type Lock, realPlace, takeLock } from '../artifact/index.ts';

/**
 * Keeps every other `offsite run` out of a work dir while this one is there: both would write the same files.
 * @throws OffsiteError BadSpec where another one is at work there
 */
export async function holdWorkDir(workDir: string): Promise<Lock> {
  return await takeLock(new DiskLock(join(realPlace(workDir, '--work-dir'), 'run')), {
    owner: 'offsite run',
    waitsFor: () => false,
    refusal: ({ processId }) =>
      badSpec(
        `--work-dir ${workDir}: another \`offsite run\` (process ${processId}) works there: wait for its end, or give this one its own work dir`,
      ),
    unwritable: (tries) =>
      badSpec(
        `--work-dir ${workDir}: its lock could not be written ${tries} times: give this run another work dir`,
      ),
    signal: new AbortController().signal,
  });
}
