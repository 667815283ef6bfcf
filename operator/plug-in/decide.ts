import { type PlugIn, stagesOf } from '../../src/api/index.ts';
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

/** One stage, on the full model, an emulator's bundle and an adapter. */
export const plugIn: KindRules<PlugIn> = {
  kind: 'PlugIn',
  stages: stagesOf('PlugIn'),
  begins: () => 'plug',
  resultFields: ['evaluation', 'gates', 'merge', 'analysis'],
  wholeResult: ['evaluation', 'gates'],
  references: ({ spec }) => [
    ...referenceTo('EmulatorBuild', 'emulator', spec.emulator),
    ...referenceTo('OffsiteTune', 'adapter', spec.adapter),
  ],
  given: ({ spec }) => ({
    ...givenArtifact('emulator', spec.emulator),
    ...givenArtifact('adapter', spec.adapter),
  }),
  work: workOf,
};

export const decide = (situation: Situation, settings: JobSettings, now: Date): Decision =>
  decideJobs(plugIn, situation, settings, now);
