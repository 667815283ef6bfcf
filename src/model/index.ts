// Decoder-only language models: opened from disk, their weights, and their passes.
export { asQuantised, codedTensors } from './coded.ts';
export { rewritten } from './config-text.ts';
export {
  Decoder,
  type DecoderOptions,
  forTraining,
  type Saved,
  type States,
  type Sums,
  type TokenWeights,
  usualScores,
} from './decoder.ts';
export type { Architecture, Slot, Slots } from './family.ts';
export { checkFileNames } from './file-names.ts';
export { greedyTokens, type HeadGradient, headGradient, score } from './head.ts';
export { type HashedModel, type Model, openHashed, openModel, parsedFiles } from './model.ts';
export { checkCallMemory, checkStatesMemory, checkTrainedMemory } from './row-memory.ts';
export {
  type BlockShape,
  isNarrow,
  linearMaps,
  type MapForm,
  mapSize,
  type Staying,
  shapedSlots,
  slotsIn,
  stayingIn,
} from './shape.ts';
export type { Span } from './spans.ts';
export {
  exactBlocks,
  type Overlay,
  type PlacedBlock,
  type Replacement,
  type Site,
  type WeightSource,
  type Weights,
  weightsOf,
  withReplaced,
} from './weights.ts';
export { axisOf, type Cut, elementsOf, type Kept, type Unit, type Widths } from './widths.ts';
