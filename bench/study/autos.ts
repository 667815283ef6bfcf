// What `auto` finds on a task on which nothing was chosen: node bench/study/autos.ts [--cost]; kept in autos.json.
import { join } from 'node:path';
import type { EmulatorBuildStatus } from '../../src/api/index.ts';
import { digest } from '../kept.ts';
import { type BuildCost, buildCost } from '../strategies/stages.ts';
import { buildManifest, offsite, statusOf, work } from './experiment.ts';
import { autosKept } from './findings.ts';
import { autoBudgets, autoTask, courses, probeRows } from './settings.ts';

/** What was found within a budget. */
export interface Found {
  readonly key: string;
  readonly model: string;
  readonly task: string;
  readonly budget: (typeof autoBudgets)[number];
  /** The same as that of the build whose spec says what was chosen. */
  readonly bundle: string;
  /** As a status has it: every candidate, what was chosen, and why. */
  readonly auto: NonNullable<EmulatorBuildStatus['auto']>;
  /** Processor seconds, of which deriving and scoring what was chosen are a part; figures of an earlier budget are asked no more. */
  readonly seconds: number;
  /** Of both stages from nothing, without scores, where that was measured. */
  readonly cost?: BuildCost;
}

const on = { model: 'smollm2', task: autoTask } as const;
const { maxLength } = courses[on.task];
const keyOf = (budget: Found['budget']) => digest([budget, on.model, on.task, maxLength, probeRows]);

function find(budget: Found['budget']): Found {
  const key = keyOf(budget);
  // one name for all budgets, so that candidates are looked at once
  const name = `auto-${on.model}-${on.task}`;
  const manifest = buildManifest(on, { auto: budget }, name, {
    output: { uri: `file:${join(work, 'emulators', `auto-${key}`)}` },
  });
  const seconds = offsite([manifest], 'autos');
  const { artifact, auto } = statusOf('EmulatorBuild', name, 'autos') as {
    artifact: { digest: string };
    auto: Found['auto'];
  };
  return { key, ...on, budget, bundle: artifact.digest, auto, seconds };
}

/** What the same search costs from nothing. */
const costOf = (budget: Found['budget']): Promise<BuildCost> =>
  buildCost({
    probe: {
      data: { uri: `pvc://data/${on.task}/probe.jsonl`, format: 'text' },
      ...{ samples: probeRows.samples, maxLength, skipFirst: true },
    },
    auto: budget,
  });

async function measureCost(): Promise<void> {
  const [first] = autoBudgets;
  const found = autosKept.read().find(({ key }) => key === keyOf(first!));
  if (found === undefined) throw new Error('run it without --cost first');
  autosKept.keep({ ...found, cost: await costOf(found.budget) });
}

if (import.meta.main) {
  if (process.argv[2] === '--cost') await measureCost();
  else for (const budget of autoBudgets) autosKept.keep(find(budget));
}
