import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { Subprocess } from '../../../src/subprocess/index.ts';

test('an answer that nests too deep to be taken ends the process at once, and no other does', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-answers-'));
  const path = join(directory, 'nested.mjs');
  writeFileSync(
    path,
    `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', (levels) => {
      let value = [];
      for (let level = 1; level < levels; level++) value = [value];
      parentPort.postMessage(value);
    });`,
  );
  const nested = new Subprocess<number, unknown>({ program: pathToFileURL(path), heapMebibytes: 64 });
  try {
    const limits = { seconds: 20, memory: 2 ** 30 };
    expect(await nested.request(3, limits)).toEqual({ reply: [[[]]] });
    expect(await nested.request(4000, limits)).toEqual({ failed: 'its answer cannot be taken' });
  } finally {
    nested.close();
    rmSync(directory, { recursive: true });
  }
});
