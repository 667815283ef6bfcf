export type { Checkpoint, DType, ReadOptions, TensorInfo } from './checkpoint.ts';
export { decodeFloats, encodeFloats } from './decode.ts';
export { openCheckpoint } from './sharded.ts';
export { type TensorToWrite, writeSafetensors } from './write.ts';
