import { Random } from '../../../src/data/index.ts';

/** How often runs are killed: 1 in `make test`, 10 in `make test-faults`. */
export const faultRuns = Number(process.env['FAULT_RUNS'] ?? 1);

/** Set FAULT_SEED to repeat a run of these tests. */
export const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31);

/** Moments and places are drawn from the seed, which is printed. */
export function drawFor(test: string): Random {
  console.log(`${test}: FAULT_SEED=${seed} FAULT_RUNS=${faultRuns}`);
  return new Random(seed);
}
