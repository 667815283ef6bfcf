// What is known of candidates, where two builds that share a work place find out about the same at the same time.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inPlace } from '../../../../src/artifact/index.ts';
import { KeptFile } from '../../../../src/emulator/auto/kept.ts';

let work: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'offsite-kept-'));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

const open = () => KeptFile.open('sealed', work, { of: 'one model and data' }, inPlace);

it('what each of them finds is kept, and what one is writing is in nobody’s way', async () => {
  const [one, other] = [await open(), await open()];
  await one.add('a', { value: 1 });
  const [name] = readdirSync(work);
  mkdirSync(join(work, `${name}.tmp`));
  await other.add('b', { value: 2 });
  await one.add('c', { value: 3 });
  const next = await open();
  expect(['a', 'b', 'c', 'd'].map((candidate) => next.of(candidate)?.value)).toEqual([1, 2, 3, undefined]);
});
