import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests start hundreds of processes and threads: each loads the sources that another has compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '.offsite/test/compiled');

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: {
    ...{ name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
    globalSetup: 'test/support/processes/compiled.ts',
  },
});

/** Short files, before all others: one more at a time than the machine has cores, since one of them waits now and then for a disk or a clock. */
const first = { maxWorkers: availableParallelism() + 1, sequence: { groupOrder: 0 } };
/** Files that compute: as many at a time as the machine has cores. */
const sideBySide = { maxWorkers: '100%', sequence: { groupOrder: 1 } };
/** Files that start servers and processes of their own, and wait for them for much of their time: two at a time. */
const inPairs = { maxWorkers: 2, sequence: { groupOrder: 2 } };
/** Files that fill a disk, bound memory, kill, or have a node. */
const alone = { maxWorkers: 1, sequence: { groupOrder: 3 } };

const unit = project('unit', 60_000);
/** As unit tests, but each starts processes, sessions of the engine or a validator, or computes whole pages of the docs: the inner loop goes without them. */
const parts = project('parts', 60_000);
const golden = project('golden', 1_200_000);
const servers = [project('chart', 600_000), project('api', 900_000), project('e2e', 1_200_000)];
const disturbed = [
  project('faults', 1_800_000),
  project('pods', 1_200_000),
  project('pod-faults', 1_800_000),
  project('interop', 1_800_000),
];

export default defineConfig({
  test: {
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // Sources that have not changed are not transformed again.
    experimental: { fsModuleCache: true, fsModuleCachePath: '.offsite/test/transformed' },
    // What happens soon on a quiet machine takes longer where others work beside.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      // Files share what they import: half of the time would go into importing it again.
      { ...unit, test: { ...unit.test, ...first, isolate: false } },
      { ...parts, test: { ...parts.test, ...sideBySide, isolate: false } },
      { ...golden, test: { ...golden.test, ...sideBySide } },
      ...servers.map((one) => ({ ...one, test: { ...one.test, ...inPairs } })),
      ...disturbed.map((one) => ({ ...one, test: { ...one.test, ...alone } })),
    ],
  },
});
