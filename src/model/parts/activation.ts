// Activation functions, and the field of config.json that chooses one.
import { z } from 'zod';
import type { GraphBuilder, Value } from '../../graph/index.ts';

/** The activations by their names in config.json. */
const activations = {
  relu: (g, x) => g.relu(x),
  silu: (g, x) => g.silu(x),
  swish: (g, x) => g.silu(x),
  gelu: (g, x) => g.gelu(x),
  gelu_new: (g, x) => g.gelu(x, 'tanh'),
  gelu_fast: (g, x) => g.gelu(x, 'tanh'),
  gelu_pytorch_tanh: (g, x) => g.gelu(x, 'tanh'),
} satisfies Record<string, (g: GraphBuilder, x: Value) => Value>;

export type Activation = keyof typeof activations;

/** The schema of a configuration's field that names an activation. */
export const activationField = z.enum(Object.keys(activations) as [Activation, ...Activation[]]);

export const activate = (g: GraphBuilder, x: Value, name: Activation): Value => activations[name](g, x);
