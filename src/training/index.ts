// Training: optimiser steps, learning rate schedules, the training loop and its checkpoints.
export { crossEntropy } from './objective.ts';
export { optimiserStep, type Trainable } from './optimiser-step.ts';
export { runTraining } from './run.ts';
export { learningRateFactor } from './schedule.ts';
export {
  clearOthers,
  type Evaluation,
  restoreState,
  saveState,
  type TrainedTensor,
  type TrainingRecord,
  type TrainingState,
} from './state.ts';
