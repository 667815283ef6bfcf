// Prints what failed and one closing line of a test run, made from vitest's JSON results: node scripts/summary.ts RESULTS
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';

const Results = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()) }),
      ),
    }),
  ),
});

const results = Results.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')));
const failed = results.testResults
  .filter(({ status }) => status === 'failed')
  .map(({ name, assertionResults }) => ({
    file: relative(process.cwd(), name),
    tests: assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages: [why = ''] }) => `${fullName}: ${beginning(why)}`),
  }));
// A file that could not be loaded, or whose hook failed, has no failed test to count.
const broken = failed.filter(({ tests }) => tests.length === 0);
for (const { file, tests } of failed)
  for (const test of tests.length > 0 ? tests : ['as a whole']) console.log(`failed: ${file}: ${test}`);
if (results.numPendingTests > 0) console.log(`${results.numPendingTests} skipped`);
console.log(`${results.numPassedTests} passed, ${results.numFailedTests + broken.length} failed`);

/** A failure's first lines on one line, so that a log's end says what happened. */
function beginning(message: string): string {
  return message.replaceAll(/\s+/g, ' ').slice(0, 500);
}
