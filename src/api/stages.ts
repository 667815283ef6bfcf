import type { Kind } from './resources.ts';

export type StageName = 'probe' | 'assemble' | 'tune' | 'plug';

/** The stages of each kind, in the order in which they run. */
export const stagesOf: Readonly<Record<Kind, readonly StageName[]>> = {
  EmulatorBuild: ['probe', 'assemble'],
  OffsiteTune: ['tune'],
  PlugIn: ['plug'],
};

/** Whether this kind has such a stage; both may be anybody's words. */
export const isStageOf = (kind: string, stage: string): boolean =>
  Object.hasOwn(stagesOf, kind) && stagesOf[kind as Kind].some((name) => name === stage);
