export type { Checkpoint, DType, ReadOptions, TensorInfo } from './checkpoint.ts';
export { decodeFloats, encodeFloats } from './decode.ts';
export { openCheckpoint } from './sharded.ts';
export { type StoredDType, storedBytes, type TensorToWrite, writeSafetensors } from './write.ts';
