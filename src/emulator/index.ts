// The emulator: a compressed model that stands in for the full one where adapters are trained.
export { type AssembleInput, assemble, checkBundlePlace } from './assemble.ts';
export { type Found, observedForAuto } from './auto/find.ts';
export {
  type Bundle,
  bundleIn,
  bundleSlots,
  emulatorWeights,
  openBundle,
  readSimilarity,
  type SimilarityRecord,
  similarityFile,
} from './bundle.ts';
export { observedFor } from './compression/index.ts';
export { shapeIn, tensorSlots, trainedPosition } from './plan/layout.ts';
export { type Plan, trainedLayers } from './plan/plan.ts';
export { type BuildInput, runProbe } from './probe/stage.ts';
export type { ProbeKey } from './probe/states.ts';
export { type PlanOptions, planOptions } from './strategies/make-plan.ts';
