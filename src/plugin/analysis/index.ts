// Analyses of the plugged-in model: its loss landscape, and the importance of its layers.
export { analyse } from './analyse.ts';
export { figuresOf, type Measured, type TaskFigures } from './by-task.ts';
export { analysisFile, KeptWork, readAnalysis, type Without } from './kept.ts';
export { type AnalysisRecord, analysisSchema, type Figures } from './record.ts';
export { barrierOf, summaryOf } from './summary.ts';
export { gridOf, keyOf, type Plugged, type Variant, variantsOf } from './variants.ts';
export { weightsOfVariant } from './weights.ts';
