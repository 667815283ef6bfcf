export { packForModel } from './batches.ts';
export { type Cell, cellOf, chosen, type MetricName, type RowScore, rowScores } from './cells.ts';
export { lossOf } from './loss.ts';
export { type RowLikelihood, scoreRows } from './score.ts';
export { type Difference, pairedBootstrap } from './statistics.ts';
export { holdingLatest, streamBlocks } from './stream.ts';
export { evaluate, loadTask, type TaskData } from './task.ts';
