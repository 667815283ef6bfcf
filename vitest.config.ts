import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// The tests start hundreds of processes and threads: each loads the sources that another has compiled.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '.offsite/test/compiled');

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
});

/** Files that need the machine for nobody but themselves: as many at a time as it has cores, before all others. */
const sideBySide = { maxWorkers: '100%', sequence: { groupOrder: 0 } };
const alone = { sequence: { groupOrder: 1 } };

const unit = project('unit', 60_000);
const golden = project('golden', 1_200_000);
const others = [
  project('chart', 600_000),
  project('api', 900_000),
  project('e2e', 1_200_000),
  project('faults', 1_800_000),
  project('pods', 1_200_000),
  project('pod-faults', 1_800_000),
  project('interop', 1_800_000),
];

export default defineConfig({
  test: {
    env: { ORT_DISABLE_TELEMETRY: '1' },
    // What happens soon on a quiet machine takes longer where others work beside.
    expect: { poll: { timeout: 30_000 } },
    projects: [
      // Files share what they import: half of the time would go into importing it again.
      { ...unit, test: { ...unit.test, ...sideBySide, isolate: false } },
      { ...golden, test: { ...golden.test, ...sideBySide } },
      ...others.map((other) => ({ ...other, test: { ...other.test, ...alone } })),
    ],
  },
});
