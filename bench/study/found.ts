// The study's part on `auto`: what it chose on a task on which nothing was chosen, beside the settings that were trained there.
import { wordsOfWay } from '../../src/api/index.ts';
import type { Found } from './autos.ts';
import { recovered, recoveredMore } from './estimates.ts';
import type { Finding } from './experiment.ts';
import { settings, tasks } from './settings.ts';
import { interval } from './shown.ts';

/** How far below the study's best the choice may be, and how many passes of the probe all of it may take. */
const wanted = { below: 0.05, passes: 3 };

/** The page's part; nothing where nothing was asked of `auto`. */
export function autosPart(all: readonly Found[], findings: readonly Finding[]): string[] {
  const [first] = all;
  if (first === undefined) return [];
  const own = findings.filter(({ model, task }) => model === first.model && task === first.task);
  const lines = all.map((found) => {
    const { budget, bundle, auto, seconds } = found;
    const one = auto.candidates.find(({ verdict }) => verdict === 'chosen')!;
    const runs = own.filter((run) => run.bundle === bundle);
    const best = bestWithin(budget, own);
    return `| ${[
      budget.leakAtMost,
      wordsOfWay(auto.chosen),
      `${Number(one.bitsKept?.value).toFixed(2)} ± ${Number(one.bitsKept?.stderr).toFixed(2)}`,
      Number(one.agreement).toFixed(2),
      runs[0]?.setting ?? 'not trained',
      interval(recovered(runs, own)),
      best?.[0]?.setting ?? '',
      best === undefined ? '' : interval(recoveredMore(runs, best, own)),
      auto.passes,
      seconds,
    ].join(' | ')} |`;
  });
  return [
    `## What \`auto\` finds where nothing was chosen

\`auto\` ([emulators.md](emulators.md)) on ${first.model}, ${tasks[first.task as keyof typeof tasks]}: the budget is of bits kept, with at most
${100 * Number(first.budget.sizeAtMost)} % of the size and ${100 * Number(first.budget.exactAtMost)} % exact. **same bundle as**: the setting of the study with that very digest, and what it recovers. **best of
the study**: of the settings trained there whose bits kept, on the study's own rows, and exact share are within the budget, the one that recovers
most; **less that**: the choice's share less the best's, of which at least -${wanted.below} was wanted. **passes**: over the probe's rows, for the looks
at candidates. **CPU s**: of the whole build with its scores in one thread; what an earlier budget has looked at is asked no more.

| bits kept at most | chosen | its bits kept | agreement | same bundle as | recovered | best of the study | less that | passes | CPU s |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |`,
    ...lines,
    '',
    ...all.flatMap(costLine),
  ];
}

/** Undefined where none is within the budget. @param own of the same model and task */
function bestWithin(budget: Found['budget'], own: readonly Finding[]): Finding[] | undefined {
  const within = settings.flatMap(({ name, full }) => {
    const runs = own.filter(({ setting }) => setting === name);
    const gain = recovered(runs, own);
    const bits = runs[0]?.leak?.bitsKept?.value;
    if (full || gain === undefined || bits === undefined) return [];
    const exact = runs[0]!.exactShare.parameters;
    if (Number(bits) > Number(budget.leakAtMost) || exact > Number(budget.exactAtMost)) return [];
    return [{ runs, gain: gain.value }];
  });
  return within.toSorted((a, b) => b.gain - a.gain)[0]?.runs;
}

/** What a search takes beside the pass that it must make anyhow, in a sentence. */
function costLine({ budget, cost }: Found): string[] {
  if (cost === undefined) return [];
  const { probe, assemble } = cost;
  const passes = (probe.seconds + assemble.seconds) / probe.seconds;
  return [
    `From nothing and without scores, at ${budget.leakAtMost}: ${probe.seconds.toFixed(0)} processor seconds for the probe's pass with all that is observed in it, ${assemble.seconds.toFixed(0)} for
deriving, looking, choosing and writing the bundle; together ${passes.toFixed(1)} of its passes, of which ${wanted.passes} were allowed. Peak memory ${Math.round(Math.max(probe.peakBytes, assemble.peakBytes) / 1e6)} MB.
`,
  ];
}
