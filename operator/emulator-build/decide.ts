import { type EmulatorBuild, stagesOf } from '../../src/api/index.ts';
import {
  type Decision,
  decide as decideJobs,
  type JobSettings,
  type KindRules,
  type Situation,
} from '../jobs/index.ts';
import { begins, workOf } from './build.ts';

/** Two stages: `probe`, shared among pods, then `assemble`; only `assemble` where they could hand nothing over. It refers to nothing. */
export const emulatorBuild: KindRules<EmulatorBuild> = {
  kind: 'EmulatorBuild',
  stages: stagesOf('EmulatorBuild'),
  begins,
  resultFields: ['similarity', 'plan', 'scores'],
  wholeResult: ['similarity', 'plan', 'scores'],
  references: () => [],
  given: () => ({}),
  work: workOf,
};

export const decide = (situation: Situation, settings: JobSettings, now: Date): Decision =>
  decideJobs(emulatorBuild, situation, settings, now);
