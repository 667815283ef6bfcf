export {
  attentionMask,
  type Example,
  exampleLength,
  type PackedBatch,
  pack,
  sequenceLength,
  type Target,
} from './batch.ts';
export { type DataCursor, epochOrder, nextRows, splitMix32 } from './order.ts';
export { type DataFormat, type Row, readRows } from './rows.ts';
export { type Purpose, type TokenizeOptions, tokenize } from './tokenize.ts';
