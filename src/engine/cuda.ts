// What is to be known of NVIDIA's driver beside onnxruntime: why its CUDA library cannot be loaded, and how much memory the device has.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** The linker's words, such as `libcuda.so.1: cannot open shared object file` where there is no driver; undefined where it loads. */
export function whyNotLoaded(): string | undefined {
  const binaries = join(createRequire(import.meta.url).resolve('onnxruntime-node'), '../../bin/napi-v6');
  const library = join(binaries, process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  if (statSync(library, { throwIfNoEntry: false }) === undefined)
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

/** What the driver's own tool prints of its devices: MiB, a line each. */
const query = ['--query-gpu=memory.free', '--format=csv,noheader,nounits'];

/**
 * Half of the bytes that are free on the first device, for weights; the rest is for states and what a run makes. Undefined where the
 * tool does not say, as in a slice by MIG.
 */
export function freeDeviceMemory(): number | undefined {
  try {
    const said = execFileSync('nvidia-smi', query, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const [free = ''] = said.split('\n');
    return /^\d+$/.test(free.trim()) ? (Number(free) * 2 ** 20) / 2 : undefined;
  } catch {
    return undefined;
  }
}
