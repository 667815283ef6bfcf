// A GPU in software: SwiftShader's Vulkan device, for processes of their own (the loader is looked for when a process starts).
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { setUp } from '../cluster/programs.ts';

/** The folder with the device and Vulkan's loader. */
export const softwareDevice = (): string => setUp('software-gpu.sh')[0] as string;

/** Variables by which a process finds the software device. */
export function softwareGpu(): Record<string, string> {
  const directory = softwareDevice();
  const driver = join(directory, 'vk_swiftshader_icd.json');
  return { LD_LIBRARY_PATH: directory, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver };
}

/** Runs a script of this folder on that device and returns the objects that it printed, one a line. */
export async function onSoftwareGpu<Line>(script: string, ...args: string[]): Promise<Line[]> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const env = { ...process.env, ...softwareGpu() };
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], {
    env,
    maxBuffer: 2 ** 26,
  });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}
