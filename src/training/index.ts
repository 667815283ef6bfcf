// Training: optimiser steps, learning rate schedules, the training loop and its checkpoints.
export { type BlockOptions, type TrainedBlock, type TrainedBlocks, trainedBlocks } from './blocks.ts';
export { gradientStep } from './gradient-step.ts';
export { crossEntropy, type Objective, type StatesLoss } from './objective.ts';
export { adamW } from './optimiser.ts';
export { optimiserStep, partGradients, type Trainable } from './optimiser-step.ts';
export { dpo, orpo, type PairLoss, simpo } from './pair-losses.ts';
export { meanPairLoss, pairObjective } from './pair-objective.ts';
export { planTraining, type TrainingPlan } from './plan.ts';
export { type HiddenRows, privateGradients } from './private-gradients.ts';
export { runTraining } from './run.ts';
export { learningRateFactor } from './schedule.ts';
export { SparseChange } from './sparse-change.ts';
export {
  checkpointsOfTraining,
  clearOthers,
  type Evaluation,
  restoreState,
  saveState,
  type TrainedTensor,
  type TrainingRecord,
  type TrainingState,
} from './state.ts';
export { type BlockTraining, trainBlocks } from './train-blocks.ts';
