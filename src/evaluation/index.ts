// Evaluation: likelihoods of rows, metrics with standard errors, and paired comparisons.
export { packForModel, sharesPrompt } from './batches.ts';
export type { Cell, MetricName } from './cells.ts';
export type { Likelihoods, RowLikelihood } from './likelihoods.ts';
export { answerBranches, rowLosses } from './loss.ts';
export { comparedWith, likelihoodsOf, type Measurement, measure, measurementOf } from './measure.ts';
export {
  type PairLikelihood,
  type PairReference,
  pairLikelihood,
  pairLikelihoods,
  pairReference,
} from './pairs.ts';
export type { Blamed } from './score.ts';
export { bootstrap, type Estimate, pairedBootstrap, signTest } from './statistics.ts';
export { groupsWithin, holdingLatest, type Passage, streamBlocks } from './stream.ts';
export { loadTask, type TaskData } from './task.ts';
