import * as ort from 'onnxruntime-node';
import { GraphBuilder, product, type Value } from '../../../../src/graph/index.ts';

/** An input of a test's graph: real numbers (float32), or whole ones that are differentiated by nobody. */
export type Input = { shape: readonly number[]; data: Float32Array | BigInt64Array | Uint8Array };
export type Build = (g: GraphBuilder, inputs: Value[]) => Value;
export type Outputs = Readonly<Record<string, { dims: readonly number[]; data: Float32Array }>>;

export const dtypeOf = ({ data }: Input) =>
  data instanceof Float32Array ? 'float32' : data instanceof BigInt64Array ? 'int64' : 'bool';

/** Makes a graph ready; each call runs it. */
export async function ready(g: GraphBuilder): Promise<(feeds: Record<string, Input>) => Promise<Outputs>> {
  const session = await ort.InferenceSession.create(g.serialize(), { intraOpNumThreads: 1 });
  return async (feeds) => {
    const given = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
    const tensors = given.map(([name, input]) => {
      const tensor = new ort.Tensor(dtypeOf(input) as 'float32', input.data as Float32Array, input.shape);
      return [name, tensor] as const;
    });
    return (await session.run(Object.fromEntries(tensors))) as unknown as Outputs;
  };
}

/** The value of `build` at the given inputs. */
export async function evaluate(
  inputs: readonly Input[],
  build: Build,
): Promise<{ shape: number[]; data: number[] }> {
  const g = new GraphBuilder();
  const y = build(g, declare(g, inputs));
  g.output('y', y);
  const { dims, data } = (await (await ready(g))(named(inputs)))['y']!;
  return { shape: [...dims], data: Array.from(data) };
}

export const declare = (g: GraphBuilder, inputs: readonly Input[]): Value[] =>
  inputs.map((input, i) => g.input(`x${i}`, dtypeOf(input), input.shape));

export const named = (inputs: readonly Input[]): Record<string, Input> =>
  Object.fromEntries(inputs.map((input, i) => [`x${i}`, input]));

export const floats = (shape: readonly number[], next: () => number): Input & { data: Float32Array } => ({
  shape,
  data: Float32Array.from({ length: product(shape) }, next),
});

export const integers = (shape: readonly number[], values: readonly number[]): Input => ({
  shape,
  data: BigInt64Array.from(values, BigInt),
});

/** Equal seeds give equal numbers from -1 to 1 (Park and Miller's generator). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return (2 * state) / 2147483647 - 1;
  };
}
