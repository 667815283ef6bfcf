import { defineConfig } from 'vitest/config';

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: testTimeout },
});

const unit = project('unit', 60_000);

export default defineConfig({
  test: {
    env: { ORT_DISABLE_TELEMETRY: '1' },
    projects: [
      // Files share what they import: half of the time would go into importing it again.
      { ...unit, test: { ...unit.test, isolate: false } },
      project('golden', 300_000),
      project('chart', 600_000),
      project('api', 900_000),
      project('e2e', 1_200_000),
      project('faults', 1_800_000),
      project('pods', 1_200_000),
      project('pod-faults', 1_800_000),
    ],
  },
});
