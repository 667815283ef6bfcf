import { type OffsiteTune, stagesOf } from '../../src/api/index.ts';
import {
  type Decision,
  decide as decideJobs,
  givenArtifact,
  type JobSettings,
  type KindRules,
  referenceTo,
  type Situation,
} from '../jobs/index.ts';
import { workOf } from './build.ts';

/** One stage, on an emulator's bundle. */
export const offsiteTune: KindRules<OffsiteTune> = {
  kind: 'OffsiteTune',
  stages: stagesOf('OffsiteTune'),
  begins: () => 'tune',
  resultFields: ['training', 'validation'],
  wholeResult: ['training'],
  references: ({ spec }) => referenceTo('EmulatorBuild', 'emulator', spec.emulator),
  given: ({ spec }) => givenArtifact('emulator', spec.emulator),
  work: workOf,
};

export const decide = (situation: Situation, settings: JobSettings, now: Date): Decision =>
  decideJobs(offsiteTune, situation, settings, now);
