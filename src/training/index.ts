export { gradientStep } from './gradient-step.ts';
export { adamW, clipScale, globalNorm } from './optimiser.ts';
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
