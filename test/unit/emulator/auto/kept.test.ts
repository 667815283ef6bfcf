// What is known of candidates, where two builds that share a work place find out about the same at the same time.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inPlace, type Keeper } from '../../../../src/artifact/index.ts';
import { KeptFigures } from '../../../../src/emulator/auto/kept.ts';

let work: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'offsite-kept-'));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

const open = () => KeptFigures.open('sealed', work, { of: 'one model and data' }, inPlace);

it('what each of them finds is kept, and what one is writing is in nobody’s way', async () => {
  const [one, other] = [await open(), await open()];
  await one.add('a', { value: 1 });
  const [directory] = readdirSync(work);
  const [name] = readdirSync(join(work, directory!));
  mkdirSync(join(work, directory!, `${name}.tmp`));
  await other.add('b', { value: 2 });
  await one.add('c', { value: 3 });
  const next = await open();
  expect(['a', 'b', 'c', 'd'].map((candidate) => next.of(candidate)?.value)).toEqual([1, 2, 3, undefined]);
});

it('what each finds is kept in a store too, of which each has a copy of its own', async () => {
  const store = join(work, 'store');
  mkdirSync(store);
  const at = async (pod: string) => {
    const own = join(work, pod);
    const keeper: Keeper = {
      ...inPlace,
      async pull() {
        rmSync(own, { recursive: true, force: true });
        cpSync(store, own, { recursive: true });
      },
      push: async (path) => cpSync(path, join(store, relative(own, path))),
    };
    return await KeptFigures.open('sealed', own, { of: 'one model and data' }, keeper);
  };
  const [one, other] = [await at('one'), await at('other')];
  await one.add('a', { value: 1 });
  await other.add('b', { value: 2 });
  const next = await at('next');
  expect(['a', 'b'].map((candidate) => next.of(candidate)?.value)).toEqual([1, 2]);
});

it('what is damaged, or lies under another’s name, is measured again', async () => {
  const one = await open();
  await one.add('a', { value: 1 });
  await one.add('b', { value: 2 });
  const [directory] = readdirSync(work);
  const [first, second] = readdirSync(join(work, directory!)).map((name) => join(work, directory!, name));
  cpSync(first!, second!);
  const next = await open();
  expect(['a', 'b'].map((candidate) => next.of(candidate)?.value).filter(Boolean)).toHaveLength(1);
  writeFileSync(first!, '{');
  const last = await open();
  expect(['a', 'b'].map((candidate) => last.of(candidate))).toEqual([undefined, undefined]);
});
