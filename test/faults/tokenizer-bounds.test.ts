import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTokenizer, type RunningTokenizer } from '../../src/tokenizer/index.ts';
import { tinyTokenizer } from '../support/tiny/tokenizer.ts';

const directory = mkdtempSync(join(tmpdir(), 'computing-'));
afterAll(() => rmSync(directory, { recursive: true }));
const limits = { seconds: 2, memory: 400 * 2 ** 20 };

function opened(change: object, config: object = {}) {
  const place = mkdtempSync(join(directory, 'bad-'));
  writeFileSync(join(place, 'tokenizer.json'), JSON.stringify({ ...tinyTokenizer(), ...change }));
  writeFileSync(join(place, 'tokenizer_config.json'), JSON.stringify(config));
  return { tokenizer: openTokenizer(place), file: join(place, 'tokenizer.json') };
}

const splitAt = (pattern: string) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
});
const doubling = { type: 'Replace', pattern: { Regex: '.' }, content: 'aa' };
const looping = '{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}';
const user = [{ role: 'user', content: 'Hi' }];
const conversation = { messages: user, generationPrompt: false };
const encode = (running: RunningTokenizer) => running.encode(`${'a'.repeat(60)}b`);
const write = (running: RunningTokenizer) => running.write(conversation);

describe('what a model brings is computed within bounds, and blamed', () => {
  test.each<[string, object, object, (running: RunningTokenizer) => Promise<unknown>, RegExp]>([
    [
      'a pattern on which the library gives up',
      splitAt('(a+)+$'),
      {},
      encode,
      /^the tokenizer cannot be used: the tokenizers library breaks off on it \(SIGABRT\)$/,
    ],
    [
      'a pattern that takes long at each place',
      splitAt('(?=(?:a|aa){1,28}c)'),
      {},
      (running) => running.encode('a'.repeat(60_000)),
      /^the tokenizer (was ended after \d s of computing: a pattern in it may try again and again without end|cannot be used: the tokenizers library breaks off on it \(SIGABRT\))$/,
    ],
    [
      'a text that doubles again and again',
      { normalizer: { type: 'Sequence', normalizers: Array.from({ length: 32 }, () => doubling) } },
      {},
      encode,
      /^the tokenizer was ended (at 400 MiB of memory|after \d s of computing)/,
    ],
    [
      'a template that loops',
      {},
      { chat_template: looping },
      write,
      /^its chat template was ended after \d s of computing: a loop in it may have no end$/,
    ],
    [
      'a template that fills the memory',
      {},
      {
        chat_template:
          '{% set a = namespace(l=[]) %}{% for i in range(99999) %}{% set a.l = a.l + (range(99999) | list) %}{% endfor %}',
      },
      write,
      /^its chat template was ended (at 400 MiB of memory|after \d s of computing)/,
    ],
    [
      'a template that calls what is not there',
      {},
      { chat_template: '{{ look_up() }}' },
      write,
      /^its chat template cannot be used: it calls look_up, which is not given to templates$/,
    ],
    [
      'a template that writes much of every conversation',
      {},
      { chat_template: `{% for i in range(10) %}${'x'.repeat(100_000)}{% endfor %}` },
      (running) => Promise.all(Array.from({ length: 100 }, () => write(running))),
      /^its chat template cannot be used: it writes more than 67108864 characters of 100 conversations$/,
    ],
  ])('%s', async (_, change, config, ask, message) => {
    const { tokenizer, file } = opened(change, config);
    const running = await tokenizer.start({ limits, isPublic: true });
    try {
      const error = await ask(running).then(
        () => undefined,
        (thrown: unknown) => thrown as { reason?: string; message: string },
      );
      expect(error).toMatchObject({ reason: 'BadModel' });
      expect(error!.message.slice(0, file.length + 2)).toBe(`${file}: `);
      expect(error!.message.slice(file.length + 2)).toMatch(message);
    } finally {
      running.close();
    }
  });

  test('what the library does not take is refused at the start, with its reason', async () => {
    const { tokenizer, file } = opened({ model: { type: 'BPE', vocab: { a: 0 }, merges: ['a b'] } });
    await expect(tokenizer.start()).rejects.toThrow(
      expect.objectContaining({
        reason: 'BadModel',
        message: expect.stringContaining(`${file}: the tokenizer cannot be used: `),
      }),
    );
  });

  test('whoever is told to stop stops at once', async () => {
    const { tokenizer } = opened({}, { chat_template: looping });
    let stopped = false;
    const running = await tokenizer.start({ cancelled: () => stopped });
    const asked = running.write(conversation);
    stopped = true;
    await expect(asked).rejects.toThrow(expect.objectContaining({ reason: 'Cancelled' }));
  });
});

test('whoever is killed leaves no process behind, whatever that computes', async () => {
  const { file } = opened({}, { chat_template: looping });
  const script = `
    import { openTokenizer } from ${JSON.stringify(new URL('../../src/tokenizer/index.ts', import.meta.url).href)};
    const running = await openTokenizer(${JSON.stringify(dirname(file))}).start();
    void running.write(${JSON.stringify(conversation)});
    console.log('asked');
  `;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(parent.stdout, 'data');
  const children = childrenOf(parent.pid!);
  expect(children).toHaveLength(1);
  parent.kill('SIGKILL');
  await expect.poll(() => children.some(isAlive), { timeout: 30_000 }).toBe(false);
});

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

/** A process that nobody has waited for yet is dead, too. */
function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('texts that are asked for at one time', () => {
  let running: RunningTokenizer;
  beforeAll(async () => {
    running = await opened({}).tokenizer.start();
  });
  afterAll(() => running.close());

  test('are answered each by its own tokens, however many and however large', async () => {
    const texts = Array.from({ length: 1200 }, (_, i) => 'ab'.repeat(i === 7 ? 200_000 : i % 9));
    const encodings = await Promise.all(
      texts.map((text, i) => running.encode(text, { specialTokens: i % 2 === 0, offsets: i % 3 === 0 })),
    );
    for (const [i, text] of texts.entries()) {
      const { ids, offsets } = encodings[i]!;
      expect(ids.length).toBe(text.length);
      expect(ids.every((id, at) => id === text.charCodeAt(at))).toBe(true);
      expect(offsets.length).toBe(i % 3 === 0 ? 2 * text.length : 0);
    }
  });

  test('a part is counted as JavaScript counts, not in code points or bytes', async () => {
    const { offsets } = await running.encode('é🙂b', { offsets: true });
    expect([...offsets]).toEqual([0, 1, 0, 1, 1, 3, 1, 3, 1, 3, 1, 3, 3, 4]);
  });
});
