// The study's recovery curves: leak tests of some settings' bundles: node bench/study/attacks.ts [SETTING]; kept in attacks.json.
import type { EmulatorBuildStatus } from '../../src/api/index.ts';
import { digest } from '../kept.ts';
import { buildManifest, buildOf, offsite, rowsPath, statusOf } from './experiment.ts';
import { attacksKept } from './findings.ts';
import { attacked, attacks, courses, probeRows, settings } from './settings.ts';

type Scores = NonNullable<EmulatorBuildStatus['scores']>;
type LeakTest = NonNullable<Scores['leakTest']>;

/** What tuning made of a setting's emulator. */
export interface Attack {
  readonly key: string;
  readonly setting: string;
  readonly model: string;
  readonly task: string;
  /** Absent where the run was ended before it was sealed. */
  readonly bundle?: string;
  /** As a status has it; the control's cells are absent where the run was ended before it came to them. */
  readonly found: Omit<LeakTest, 'points'> & {
    readonly points: readonly (Omit<LeakTest['points'][number], 'control'> & {
      readonly control?: LeakTest['full'];
    })[];
  };
  /** Processor seconds, of which building the bundle is a part. */
  readonly seconds: number;
}

function attack(setting: string): Attack {
  const [model, task] = ['smollm2', 'words'] as const;
  const experiment = { setting: settings.find((each) => each.name === setting)!, model, task, seed: 1 };
  const build = buildOf(experiment);
  const { maxLength } = courses[task];
  const key = digest([build, model, task, maxLength, probeRows, attacks]);
  // a work place of its own, so that it goes on beside other runs
  const name = `attack-${key}`;
  const manifest = buildManifest(experiment, build, name, {
    evaluation: { limit: 2 },
    engine: { threads: 1, memory: '4Gi' },
    leakTest: {
      data: { uri: `file:${rowsPath(experiment, 'probe')}`, format: 'text' },
      tokens: attacks.tokens,
      maxLength,
      task: {
        data: { uri: `file:${rowsPath(experiment, 'test')}` },
        ...{ format: 'multipleChoice', limit: attacks.testRows },
      },
    },
  });
  const seconds = offsite([manifest], name);
  const { artifact, scores } = statusOf('EmulatorBuild', name, name) as {
    artifact: { digest: string };
    scores: Scores;
  };
  return { key, setting, model, task, bundle: artifact.digest, found: scores.leakTest!, seconds };
}

if (import.meta.main)
  for (const setting of process.argv[2] ? [process.argv[2]] : attacked) attacksKept.keep(attack(setting));
