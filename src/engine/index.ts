// The engine: runs graphs by onnxruntime.
export {
  Engine,
  type EngineOptions,
  type Frozen,
  type Outputs,
  type Session,
  type Traffic,
} from './engine.ts';
export type { Held, Tensor } from './tensor.ts';
