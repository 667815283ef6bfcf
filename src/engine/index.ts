// The engine: runs graphs by onnxruntime.
export { Engine, type EngineOptions, type Session, type Tensor } from './engine.ts';
