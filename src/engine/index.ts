export { Engine, type EngineOptions, type Session, type Tensor } from './engine.ts';
