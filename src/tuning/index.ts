// Fine-tuning on an emulator: the adapters, the stage, and its loss history.
export {
  type AdapterKind,
  type AdapterTensor,
  adapterOf,
  addProduct,
  type Change,
  direct,
  insertedBy,
  type LowRank,
  linearModules,
  loraOptionsOf,
  peftConfigOf,
  productRows,
  productSize,
  sizeUncancelled,
} from './adapters/index.ts';
export { historyOf, type LossHistory, lossesOfRows, readHistory } from './history.ts';
export { formOf, type Start } from './start.ts';
export { tune } from './tune.ts';
