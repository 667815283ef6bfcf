// Why onnxruntime's CUDA library cannot be loaded: the error that it throws says no more than that, and its log is nobody's condition.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The linker's words, such as `libcuda.so.1: cannot open shared object file` where there is no driver; undefined where it loads. */
export function whyNotLoaded(): string | undefined {
  const binaries = join(createRequire(import.meta.url).resolve('onnxruntime-node'), '../../bin/napi-v6');
  const library = join(binaries, process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  if (!existsSync(library))
    return 'libonnxruntime_providers_cuda.so is not there: the image worker-cuda has it';
  try {
    process.dlopen({ exports: {} }, library);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    // It loads, and is no library of Node's.
    return reason?.startsWith('Module did not self-register') ? undefined : reason;
  }
  return undefined;
}
