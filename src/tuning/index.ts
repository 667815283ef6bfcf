export { checkpointsOf, type TuneOptions, type TuneResult, tune } from './tune.ts';
