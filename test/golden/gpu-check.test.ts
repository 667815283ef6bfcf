// The archive of `make gpu-pack`: that it is small, and that its dry run passes where there is no network and no repository.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../../bench/gpu/report.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { softwareGpu } from '../support/gpu/software.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const work = workDirectory();
afterAll(work.remove);
const archive = join(work.path, 'gpu-check.tar.gz');
const unpacked = join(work.path, 'elsewhere');

/** A command without any network, to which this repository is an empty folder. */
const alone = [
  ...['--map-root-user', '--net', '--mount', 'sh', '-c'],
  'mount -t tmpfs none "$1" && shift && exec "$@"',
  ...['sh', root],
];

/** Runs the archive's script there. @returns what it printed, with its exit code */
async function check(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; text: string }> {
  const script = join(unpacked, 'gpu-check/gpu-check.sh');
  const PATH = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
  const PYTHON = join(work.path, 'no-python');
  const options = { cwd: '/', env: { PATH, PYTHON, ...env }, encoding: 'utf8' } as const;
  try {
    const { stdout, stderr } = await promisify(execFile)(
      'unshare',
      [...alone, 'sh', script, ...args],
      options,
    );
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, text: stdout + stderr };
  }
}

const report = () => JSON.parse(readFileSync(join(unpacked, 'gpu-check/gpu-results.json'), 'utf8')) as Report;

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'bench/gpu/pack.ts'), archive], { stdio: 'inherit' });
  mkdirSync(unpacked);
  execFileSync('tar', ['xzf', archive, '-C', unpacked]);
});

test('the archive has at most 60 MB, in one folder', () => {
  expect(statSync(archive).size).toBeLessThanOrEqual(60_000_000);
  expect(readdirSync(unpacked)).toEqual(['gpu-check']);
});

describe('its dry run on a device in software', () => {
  let said: Awaited<ReturnType<typeof check>>;
  beforeAll(async () => {
    said = await check(softwareGpu(), '--dry-run');
  });

  test('gives parity, speeds, the share of the peak and the bytes of a step', () => {
    expect(said).toMatchObject({ code: 0 });
    const { webgpu } = report().sides;
    expect(Object.keys(webgpu!.parity)).toEqual(['llama']);
    expect(webgpu!.parity['llama']).toBeLessThan(1e-3);
    expect(webgpu).not.toHaveProperty('missing');
    for (const { tokens, seconds } of [webgpu!.probe!, webgpu!.train!]) {
      expect(tokens).toBe(32);
      expect(seconds).toBeGreaterThan(0);
    }
    expect(webgpu!.flops).toBeGreaterThan(0);
    // A device in software has no halves.
    expect(webgpu!.halves).toEqual([
      { precision: 'float16', missing: expect.stringContaining('cannot compute in float16 on this device') },
    ]);
    expect(said.text).toMatch(/\| training step, share of the same \| +\d+\.\d % \|/);
  });

  test('says of CUDA and of the peer why they are not there, and goes on', () => {
    const { cuda, 'PyTorch eager': peer } = report().sides;
    expect(cuda!.missing).toMatch(/^provider cuda cannot start: .*[Ll]oad/);
    expect(peer!.missing).toMatch(/no-python cannot be started/);
  });

  test('of weights only those that train go to the device: twice up, and their gradients home', () => {
    const { sent, received } = report().sides['webgpu']!.train!.bytes!;
    // Two blocks: q, k, v, o, gate, up and down, and two norms.
    const trained = 4 * 2 * (2 * 24 * 24 + 2 * 24 * 8 + 3 * 24 * 32 + 2 * 24);
    // Of all rows' tokens but the last, in a batch whose size is a power of two.
    expect(received).toBe(trained + 4 * 32);
    // Beside them rows, tables and masks, and not the head, which is frozen.
    const head = 4 * 480 * 24;
    expect(sent - 2 * trained).toBeGreaterThan(0);
    expect(sent - 2 * trained).toBeLessThan(head / 2);
  });
});

test('where there is no device it says what is missing, and ends with code 1', async () => {
  const nothing = join(work.path, 'no-driver.json');
  writeFileSync(nothing, '{}');
  const env = { VK_ICD_FILENAMES: nothing, VK_DRIVER_FILES: nothing };
  const { code, text } = await check(env, '--dry-run', '--providers', 'webgpu');
  expect(code).toBe(1);
  expect(report().sides['webgpu']!.missing).toMatch(
    /provider webgpu cannot start: .*needs a GPU whose driver has Vulkan/,
  );
  expect(text).toContain('no provider ran on this machine');
});
