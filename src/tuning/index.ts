export { type AdapterKind, type AdapterTensor, adapterOf, type Change } from './adapters/index.ts';
export { historyFile, type LossHistory, readHistory } from './history.ts';
export { checkpointsOf, type TuneOptions, type TuneResult, tune } from './tune.ts';
