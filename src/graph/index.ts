// Computation graphs: built, differentiated, split for training and encoded as ONNX.
export { GraphBuilder, type MatmulOptions } from './builder.ts';
export { withGivenOnce } from './given-once.ts';
export { gradients, type Seed } from './gradients.ts';
export { Graph, type Operation, type Value } from './graph.ts';
export type { ElementType } from './onnx.ts';
export { type Half, type Halving, inHalf } from './precision.ts';
export { type Replacement, rewrite } from './rewrite.ts';
export { broadcast, product } from './shapes.ts';
export { type Differentiated, type Split, split } from './split.ts';
