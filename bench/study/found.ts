// The study's part on `auto`: what it chose on a task on which nothing was chosen, beside the settings that were trained there.
import { wordsOfWay } from '../../src/api/index.ts';
import type { Found } from './autos.ts';
import { recovered } from './estimates.ts';
import type { Finding } from './experiment.ts';
import { tasks } from './settings.ts';
import { interval } from './shown.ts';

/** The page's part; nothing where nothing was asked of `auto`. */
export function autosPart(all: readonly Found[], findings: readonly Finding[]): string[] {
  const [first] = all;
  if (first === undefined) return [];
  const own = findings.filter(({ model, task }) => model === first.model && task === first.task);
  const lines = all.map(({ budget, bundle, auto: { chosen, candidates, passes }, seconds }) => {
    const one = candidates.find(({ verdict }) => verdict === 'chosen')!;
    const runs = own.filter((found) => found.bundle === bundle);
    return `| ${[
      budget.leakAtMost,
      wordsOfWay(chosen),
      `${Number(one.bitsKept?.value).toFixed(2)} ± ${Number(one.bitsKept?.stderr).toFixed(2)}`,
      Number(one.agreement).toFixed(2),
      runs[0]?.setting ?? 'not trained',
      interval(recovered(runs, own)),
      passes,
      seconds,
    ].join(' | ')} |`;
  });
  return [
    `## What \`auto\` finds where nothing was chosen

\`auto\` ([emulators.md](emulators.md)) on ${first.model}, ${tasks[first.task as keyof typeof tasks]}: the budget is of bits kept, with at most
${100 * Number(first.budget.sizeAtMost)} % of the size and ${100 * Number(first.budget.exactAtMost)} % exact. **same bundle as**: the setting of the study with that very digest, and what it recovers. **passes**: over the
probe's rows, beside the probe's own. **CPU s**: of the whole build in one thread; what an earlier budget has looked at is asked no more.

| bits kept at most | chosen | its bits kept | agreement | same bundle as | recovered | passes | CPU s |
| --- | --- | --- | --- | --- | --- | --- | --- |`,
    ...lines,
    '',
  ];
}
