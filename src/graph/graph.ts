// The computation graph: values, operations, stored tensors, inputs and outputs.
import { type Attribute, type ElementType, encodeModel, type Initializer, type Node } from './onnx.ts';

/** A tensor of the graph: its shape is known when the graph is built. */
export interface Value {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

/** One operator applied; gradient rules read it. */
export interface Operation {
  readonly operator: string;
  readonly domain: '' | 'com.microsoft';
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** How an operator is applied, beside its inputs and its output's shape. */
export interface Application {
  domain?: Operation['domain'];
  attributes?: Operation['attributes'];
  /** Of the output; the first input's when absent. */
  dtype?: ElementType;
  /** Shapes of outputs after the first, of the first's type. */
  more?: readonly (readonly number[])[];
}

/** A graph under construction: inputs, stored tensors, operators in the order of their adding, outputs. */
export class Graph {
  readonly operations: Operation[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: { name: string; value: Value; stays: boolean }[] = [];
  readonly initializers: Initializer[] = [];
  /** Tensors whose numbers are given when the graph is made ready, and not in each run. */
  readonly apart: Value[] = [];
  #count = 0;

  input(name: string, dtype: ElementType, shape: readonly number[]): Value {
    const value = { name, dtype, shape };
    this.inputs.push(value);
    return value;
  }

  /** A tensor that is given once, when the graph is made ready. */
  givenOnce(name: string, dtype: ElementType, shape: readonly number[]): Value {
    const value = { name, dtype, shape };
    this.apart.push(value);
    return value;
  }

  /** A named tensor stored in the graph. */
  initializer(name: string, data: Float32Array, shape: readonly number[]): Value {
    return this.#store({ name, dtype: 'float32', shape, data });
  }

  /** A float32 scalar stored in the graph. */
  scalar(value: number): Value {
    return this.initializer(this.#name('scalar'), Float32Array.of(value), []);
  }

  /** float32 numbers stored in the graph. */
  floats(values: readonly number[]): Value {
    return this.initializer(this.#name('floats'), Float32Array.from(values), [values.length]);
  }

  /** int64 numbers stored in the graph, as ONNX takes shapes and axes. */
  integers(values: readonly number[]): Value {
    const data = BigInt64Array.from(values, BigInt);
    return this.#store({ name: this.#name('integers'), dtype: 'int64', shape: [values.length], data });
  }

  /** int32 numbers stored in the graph, as some operators take lengths. */
  smallIntegers(values: readonly number[]): Value {
    const data = Int32Array.from(values);
    return this.#store({ name: this.#name('integers'), dtype: 'int32', shape: [values.length], data });
  }

  /** A tensor that another graph stores, under a name of this one's. */
  stored({ dtype, shape, data }: Initializer): Value {
    return this.#store({ name: this.#name('stored'), dtype, shape, data });
  }

  /** @param stays whether it is left where the graph runs, for other graphs to take */
  output(name: string, value: Value, { stays = false } = {}): void {
    this.outputs.push({ name, value, stays });
  }

  /** Adds one operator and returns its first output. */
  apply(
    operator: string,
    inputs: readonly Value[],
    shape: readonly number[],
    application: Application = {},
  ): Value {
    return this.applied(operator, inputs, shape, application)[0];
  }

  /** Adds one operator and returns its outputs. */
  applied(
    operator: string,
    inputs: readonly Value[],
    shape: readonly number[],
    { domain = '', attributes = {}, dtype = (inputs[0] as Value).dtype, more = [] }: Application = {},
  ): [Value, ...Value[]] {
    const output: Value = { name: this.#name(operator), dtype, shape };
    const outputs: [Value, ...Value[]] = [
      output,
      ...more.map((other) => ({ name: this.#name(operator), dtype, shape: other })),
    ];
    this.operations.push({ operator, domain, inputs, outputs, attributes });
    return outputs;
  }

  /** The graph as an ONNX ModelProto. */
  serialize(): Uint8Array {
    const computed = new Set(this.operations.flatMap(({ outputs }) => outputs.map(({ name }) => name)));
    // What is computed takes its output's name where it stands, so that nothing is copied.
    const outputNames = new Map<string, string>();
    const copies: Node[] = [];
    for (const { name, value } of this.outputs) {
      if (computed.has(value.name) && !outputNames.has(value.name)) outputNames.set(value.name, name);
      else
        copies.push({
          operator: 'Identity',
          domain: '',
          inputs: [outputNames.get(value.name) ?? value.name],
          outputs: [name],
          attributes: {},
        });
    }
    const nameOf = ({ name }: Value) => outputNames.get(name) ?? name;
    const nodes = this.operations.map((operation) => ({
      ...operation,
      inputs: operation.inputs.map(nameOf),
      outputs: operation.outputs.map(nameOf),
    }));
    return encodeModel({
      nodes: [...nodes, ...copies],
      initializers: this.initializers,
      apart: this.apart,
      inputs: this.inputs,
      outputs: this.outputs.map(({ name, value }) => ({ name, dtype: value.dtype, shape: value.shape })),
    });
  }

  #store(initializer: Initializer): Value {
    this.initializers.push(initializer);
    return initializer;
  }

  /** A name that no input has. */
  #name(of: string): string {
    const name = `${of}_${this.#count++}`;
    return this.inputs.some((input) => input.name === name) ? this.#name(of) : name;
  }
}
