// Serialisation of a graph in ONNX's protobuf format.
import protobuf from 'protobufjs';

/** ONNX's own numbers of the element types that a graph here uses (onnx.proto, TensorProto.DataType). */
export const elementTypes = {
  ...{ float32: 1, int32: 6, int64: 7, bool: 9 },
  ...{ float16: 10, float64: 11, bfloat16: 16 },
} as const;
export type ElementType = keyof typeof elementTypes;

export type Attribute =
  | { ints: readonly number[] }
  | { int: number }
  | { float: number }
  | { text: string }
  | { elementType: ElementType };

export interface Node {
  operator: string;
  domain: '' | 'com.microsoft';
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Readonly<Record<string, Attribute>>;
}

export interface TensorType {
  name: string;
  dtype: ElementType;
  shape: readonly number[];
}

export interface Initializer extends TensorType {
  data: Float32Array | BigInt64Array | Int32Array;
}

/** The part of onnx.proto that is written here, with ONNX's field numbers. */
const schema = protobuf.Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: { type: 'int64', id: 1 },
        producerName: { type: 'string', id: 2 },
        graph: { type: 'GraphProto', id: 7 },
        opsetImport: { rule: 'repeated', type: 'OperatorSetIdProto', id: 8 },
      },
    },
    OperatorSetIdProto: { fields: { domain: { type: 'string', id: 1 }, version: { type: 'int64', id: 2 } } },
    GraphProto: {
      fields: {
        node: { rule: 'repeated', type: 'NodeProto', id: 1 },
        name: { type: 'string', id: 2 },
        initializer: { rule: 'repeated', type: 'TensorProto', id: 5 },
        input: { rule: 'repeated', type: 'ValueInfoProto', id: 11 },
        output: { rule: 'repeated', type: 'ValueInfoProto', id: 12 },
      },
    },
    NodeProto: {
      fields: {
        input: { rule: 'repeated', type: 'string', id: 1 },
        output: { rule: 'repeated', type: 'string', id: 2 },
        name: { type: 'string', id: 3 },
        opType: { type: 'string', id: 4 },
        attribute: { rule: 'repeated', type: 'AttributeProto', id: 5 },
        domain: { type: 'string', id: 7 },
      },
    },
    AttributeProto: {
      fields: {
        name: { type: 'string', id: 1 },
        f: { type: 'float', id: 2 },
        i: { type: 'int64', id: 3 },
        s: { type: 'string', id: 4 },
        ints: { rule: 'repeated', type: 'int64', id: 8, options: { packed: false } },
        type: { type: 'int32', id: 20 },
      },
    },
    TensorProto: {
      fields: {
        dims: { rule: 'repeated', type: 'int64', id: 1, options: { packed: false } },
        dataType: { type: 'int32', id: 2 },
        name: { type: 'string', id: 8 },
        rawData: { type: 'bytes', id: 9 },
        externalData: { rule: 'repeated', type: 'StringStringEntryProto', id: 13 },
        dataLocation: { type: 'int32', id: 14 },
      },
    },
    StringStringEntryProto: { fields: { key: { type: 'string', id: 1 }, value: { type: 'string', id: 2 } } },
    ValueInfoProto: { fields: { name: { type: 'string', id: 1 }, type: { type: 'TypeProto', id: 2 } } },
    TypeProto: { fields: { tensorType: { type: 'TensorTypeProto', id: 1 } } },
    TensorTypeProto: {
      fields: { elemType: { type: 'int32', id: 1 }, shape: { type: 'TensorShapeProto', id: 2 } },
    },
    TensorShapeProto: { fields: { dim: { rule: 'repeated', type: 'Dimension', id: 1 } } },
    Dimension: { fields: { dimValue: { type: 'int64', id: 1 } } },
  },
});
const modelProto = schema.lookupType('ModelProto');

/** TensorProto.DataLocation. */
const external = 1;

const opset = 21;
const irVersion = 10;

/** Serialises a graph as an ONNX ModelProto; what lies apart is a file of its own name to whoever loads it. */
export function encodeModel(graph: {
  nodes: readonly Node[];
  initializers: readonly Initializer[];
  apart: readonly TensorType[];
  inputs: readonly TensorType[];
  outputs: readonly TensorType[];
}): Uint8Array {
  return modelProto
    .encode({
      irVersion,
      producerName: 'offsite-tuning',
      opsetImport: [
        { domain: '', version: opset },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: 'graph',
        node: graph.nodes.map((node, index) => ({
          name: `${node.operator}_${index}`,
          opType: node.operator,
          domain: node.domain,
          input: node.inputs,
          output: node.outputs,
          attribute: Object.entries(node.attributes).map(attribute),
        })),
        initializer: [
          ...graph.initializers.map(({ data, ...tensor }) => ({
            ...tensorOf(tensor),
            rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
          })),
          ...graph.apart.map((tensor) => ({
            ...tensorOf(tensor),
            dataLocation: external,
            externalData: [{ key: 'location', value: tensor.name }],
          })),
        ],
        input: graph.inputs.map(valueInfo),
        output: graph.outputs.map(valueInfo),
      },
    })
    .finish();
}

const tensorOf = ({ name, dtype, shape }: TensorType) => ({
  name,
  dims: shape,
  dataType: elementTypes[dtype],
});

function attribute([name, value]: [string, Attribute]) {
  if ('ints' in value) return { name, ints: value.ints, type: 7 };
  if ('text' in value) return { name, s: value.text, type: 3 };
  if ('elementType' in value) return { name, i: elementTypes[value.elementType], type: 2 };
  if ('int' in value) return { name, i: value.int, type: 2 };
  return { name, f: value.float, type: 1 };
}

function valueInfo({ name, dtype, shape }: TensorType) {
  return {
    name,
    type: {
      tensorType: { elemType: elementTypes[dtype], shape: { dim: shape.map((dimValue) => ({ dimValue })) } },
    },
  };
}
