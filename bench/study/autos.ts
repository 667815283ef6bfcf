// What `auto` finds on a task on which nothing was chosen: node bench/study/autos.ts; kept in autos.json.
import { join } from 'node:path';
import type { EmulatorBuildStatus } from '../../src/api/index.ts';
import { digest } from '../kept.ts';
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
}

function find(budget: Found['budget']): Found {
  const [model, task] = ['smollm2', autoTask] as const;
  const key = digest([budget, model, task, courses[task].maxLength, probeRows]);
  // one name for all budgets, so that candidates are looked at once
  const name = `auto-${model}-${task}`;
  const manifest = buildManifest({ model, task }, { auto: budget }, name, {
    output: { uri: `file:${join(work, 'emulators', `auto-${key}`)}` },
  });
  const seconds = offsite([manifest], 'autos');
  const { artifact, auto } = statusOf('EmulatorBuild', name, 'autos') as {
    artifact: { digest: string };
    auto: Found['auto'];
  };
  return { key, model, task, budget, bundle: artifact.digest, auto, seconds };
}

if (import.meta.main) for (const budget of autoBudgets) autosKept.keep(find(budget));
