// Checkpoints: safetensors and GGUF are read, in one file or several; safetensors are written.
export type { Checkpoint, DType, ReadOptions, StoredDType, TensorInfo } from './checkpoint.ts';
export { decodeFloats, encodeFloats, isReadable } from './decode.ts';
export { foreignKind, kindBytes } from './foreign.ts';
export { configBounds, readJsonFile } from './json.ts';
export { readSettings, type Settings } from './settings.ts';
export { checkpointFiles, openCheckpoint } from './sharded.ts';
export { storedBytes, type TensorToWrite, writeSafetensors } from './write.ts';
