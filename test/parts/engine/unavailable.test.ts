// What is said of a provider that cannot start: the library's and the driver's words, and not where its source lies.
import { expect, it } from 'vitest';
import { Engine } from '../../../src/engine/index.ts';
import { saidBy } from '../../../src/engine/said.ts';

it.each([
  [
    'of CUDA the failure alone, without the host',
    '/src/core/providers/cuda/cuda_call.cc:154 Status CudaCall(ERRTYPE) [with ERRTYPE = cudaError] CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=node-7 ; file=/src/x.cc ; line=352 ; expr=cudaSetDevice(0);',
    'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version',
  ],
  [
    'of Vulkan what stands behind the condition',
    '/src/core/webgpu_context.cc:120 void Initialize() adapter != nullptr was false. No supported adapters\nmore',
    'No supported adapters',
  ],
  [
    'of a graph that ran what its operator said',
    "Non-zero status code returned while running Cast node. Name:'Cast_0' Status Message: shader_helper.cc:416 GenerateSourceCode Program Cast requires f16 but the device does not support it.",
    'Program Cast requires f16 but the device does not support it.',
  ],
  ['of others all of the first line', 'Failed to load shared library', 'Failed to load shared library'],
])('%s', (_, message, right) => {
  expect(saidBy(new Error(message))).toBe(right);
});

it('provider cuda without its library says which is not there', async () => {
  await expect(Engine.create({ provider: 'cuda', threads: 1 })).rejects.toMatchObject({
    reason: 'EngineUnavailable',
    message: expect.stringMatching(
      /^provider cuda cannot start: .*: libonnxruntime_providers_cuda\.so is not there: .*; it needs a GPU of NVIDIA, and its driver$/,
    ),
  });
});
