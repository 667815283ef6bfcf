// What the model owner does with an adapter: verify, plug in, measure, analyse, release.
export { type Adapter, adapterFile, adapterIn, openAdapter } from './adapter.ts';
export {
  type AnalysisRecord,
  analysisFile,
  analysisSchema,
  figuresOf,
  type Measured,
  readAnalysis,
  summaryOf,
  type TaskFigures,
} from './analysis/index.ts';
export { checkLoraAlone, checkPeftConfig } from './lora-alone.ts';
export { type PlugResult, plug } from './plug.ts';
export { exportAdapter, sealAdapter } from './seal.ts';
