export {
  type AdapterKind,
  type AdapterTensor,
  adapterOf,
  type Change,
  insertedBy,
} from './adapters/index.ts';
export { historyFile, type LossHistory, readHistory } from './history.ts';
export type { TuneResult } from './result.ts';
export { checkpointsOf, type TuneOptions, tune } from './tune.ts';
