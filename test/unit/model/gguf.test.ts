import { expect, test } from 'vitest';
import type { TensorInfo } from '../../../src/checkpoint/index.ts';
import { ggufOf } from '../../../src/model/families/gguf.ts';

test.each([[[4097]], [[64, 64]], [[10 ** 9]]])(
  'frequencies of the shape %j are refused before they are read',
  (shape) => {
    const name = 'rope_freqs.weight';
    const file = {
      metadata: {},
      tensors: new Map([[name, { name, dtype: 'F32', shape } satisfies TensorInfo]]),
      read: () => expect.unreachable('it was read'),
    };
    const { config } = ggufOf({ architecture: 'llama', hub: 'LlamaForCausalLM', interleaved: true });
    expect(() => config(file)).toThrow(
      `GGUF tensor ${name} has the shape [${shape}]; it holds one number for each rotary frequency, at most 4096`,
    );
  },
);
