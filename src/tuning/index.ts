export { historyFile, type LossHistory, readHistory } from './history.ts';
export { checkpointsOf, type TuneOptions, type TuneResult, tune } from './tune.ts';
