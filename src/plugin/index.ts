export { type Adapter, adapterFile, openAdapter } from './adapter.ts';
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
export { checkGates, type GateResult } from './gates.ts';
export { checkLoraAlone, checkPeftConfig } from './lora-alone.ts';
export { exactOf, type MeasuredTask, valuesOf } from './measured.ts';
export { mergedTensors, savePluggedIn } from './merge.ts';
export { type PlugOptions, type PlugResult, plug } from './plug.ts';
export { exportAdapter, sealAdapter } from './seal.ts';
