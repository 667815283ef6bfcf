export { type Assembled, type AssembleInput, assemble, bundleNames, checkBundlePlace } from './assemble.ts';
export {
  type Bundle,
  emulatorWeights,
  openBundle,
  readSimilarity,
  type SimilarityRecord,
  similarityFile,
  trainedPosition,
} from './bundle.ts';
export { exactShare, keptAbility } from './disclosure.ts';
export { makePlan, type Plan, type PlanOptions, trainsAt } from './plan/plan.ts';
export { shareLayers } from './plan/share.ts';
export { transferLayers } from './plan/transfer.ts';
export { type Pooling, poolRows } from './probe/pooling.ts';
export { probe } from './probe/probe.ts';
export { type BuildInput, runProbe, tokenizerDigest } from './probe/stage.ts';
export type { ProbeKey } from './probe/states.ts';
export { adjacentValues, type Metric, type States, similarityMatrix } from './similarity/similarity.ts';
export { clusterLayers } from './strategies/cluster.ts';
export { keepMiddles, keepUniform } from './strategies/remove.ts';
