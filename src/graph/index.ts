export {
  broadcast,
  GraphBuilder,
  type MatmulOptions,
  type Operation,
  product,
  type Value,
} from './builder.ts';
export { gradients, type Seed } from './gradients.ts';
export type { ElementType } from './onnx.ts';
export { type Split, split } from './split.ts';
