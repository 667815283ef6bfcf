// Builds the study's rows of the packages that hold them: node bench/study/build-data.ts SPAM SPEECHES DIRECTORY
import { join } from 'node:path';
import { spamSplits } from './spam.ts';
import { speechSplits } from './speeches.ts';
import { sizes, writeTask } from './task.ts';

const [spam, speeches, directory] = process.argv.slice(2) as [string, string, string];
for (const [name, splits] of [
  ['spam', spamSplits(spam)],
  ['speeches', speechSplits(speeches)],
] as const) {
  const digest = writeTask(join(directory, name), splits);
  console.log(`data: ${sizes.train} questions in ${join(directory, name)} (${digest.slice(0, 19)})`);
}
