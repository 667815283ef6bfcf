// Prints one closing line of a test run, made from vitest's JSON results: node scripts/summary.ts RESULTS
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const Results = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});

const results = Results.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
// a file that could not even be loaded has no tests to count
const broken = results.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
).length;
if (results.numPendingTests > 0) console.log(`${results.numPendingTests} skipped`);
console.log(`${results.numPassedTests} passed, ${results.numFailedTests + broken} failed`);
