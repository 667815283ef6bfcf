import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Response } from 'undici';
import { afterEach, beforeEach, expect, it, test } from 'vitest';
import { itself } from '../../../../src/artifact/inner-path.ts';
import { pull } from '../../../../src/artifact/mirror/pull.ts';
import { StoreCopy } from '../../../../src/artifact/mirror/store-copy.ts';
import type { HttpClient, HttpRequest } from '../../../../src/artifact/stores/http.ts';
import { HttpsStore } from '../../../../src/artifact/stores/https.ts';
import { StoreError } from '../../../../src/artifact/stores/store.ts';

/** A web server with one file, or an artifact of one, that tells of it what a test wants. */
class PlayedWeb {
  files: Record<string, string> = {};
  told: Record<string, string> = {};
  /** Of the next answer, after how many bytes the connection breaks. */
  breaksAfter: number | undefined;
  takesRanges = true;
  bodies: string[] = [];
  onBreak = () => {};

  readonly client = {
    check: () => {},
    request: async (url: URL, name: string, { method = 'GET', headers: asked }: HttpRequest) => {
      const text = this.files[url.pathname];
      if (text === undefined) throw new StoreError('Missing', `${name}: there is no such file`);
      const from = this.takesRanges ? Number(/^bytes=(\d+)-$/.exec(asked?.['range'] ?? '')?.[1] ?? 0) : 0;
      const range = from > 0 && { 'content-range': `bytes ${from}-${text.length - 1}/${text.length}` };
      const headers = { ...this.told, ...range, 'content-length': String(text.length - from) };
      if (method === 'HEAD') return new Response(null, { headers });
      this.bodies.push(`${url.pathname} ${from}`);
      return new Response(this.#bodyOf(text.slice(from)) as never, { status: from > 0 ? 206 : 200, headers });
    },
  } as unknown as HttpClient;

  async *#bodyOf(text: string) {
    const end = this.breaksAfter ?? text.length;
    this.breaksAfter = undefined;
    yield Buffer.from(text.slice(0, end));
    if (end === text.length) return;
    this.onBreak();
    // So that what was sent is on the disk.
    await sleep(100);
    throw new TypeError('terminated');
  }
}

let scratch: string;
let web: PlayedWeb;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'offsite-versions-'));
  web = new PlayedWeb();
  web.files['/rows.jsonl'] = 'the first rows';
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** What is here after another process has pulled. */
async function pulled(place = 'host/rows.jsonl'): Promise<string> {
  const copy = new StoreCopy(scratch, { scheme: 'https', place, secret: undefined });
  const store = new HttpsStore(web.client);
  const patience = { stall: 60_000, retry: 1 };
  await pull(store, copy, { signal: new AbortController().signal, exact: true, patience });
  return place.endsWith('.jsonl') ? readFileSync(copy.fileOf(itself), 'utf8') : copy.fileOf(itself);
}

const second = 'Sun, 29 Nov 2026 10:00:00 GMT';
const nothing: Record<string, string> = {};
test.each([
  ['nothing', nothing],
  ['the second in which it was written', { 'last-modified': second, date: second }],
  ['the second in which it was written, and not which it is', { 'last-modified': second }],
])('a file of whose versions its server tells %s is brought again, and begun again', async (_, told) => {
  web.told = told;
  expect(await pulled()).toBe('the first rows');
  web.files['/rows.jsonl'] = 'the other rows';
  expect(await pulled()).toBe('the other rows');

  web.breaksAfter = 5;
  web.onBreak = () => {
    web.files['/rows.jsonl'] = 'the third rows';
  };
  expect(await pulled()).toBe('the third rows');
});

test.each([
  ['a tag', { etag: '"a"' }, { etag: '"b"' }],
  [
    'an earlier second',
    { 'last-modified': second, date: 'Sun, 29 Nov 2026 10:00:01 GMT' },
    { 'last-modified': 'Sun, 29 Nov 2026 10:00:02 GMT', date: 'Sun, 29 Nov 2026 10:00:09 GMT' },
  ],
])('one of which it tells %s is brought once a version, and gone on with', async (_, told, then) => {
  web.told = told;
  web.breaksAfter = 5;
  expect(await pulled()).toBe('the first rows');
  expect(await pulled()).toBe('the first rows');
  expect(web.bodies).toEqual(['/rows.jsonl 0', '/rows.jsonl 5']);

  web.files['/rows.jsonl'] = 'the other rows';
  web.told = then;
  expect(await pulled()).toBe('the other rows');
});

it('a server that sends whole files only is read', async () => {
  web.takesRanges = false;
  web.told = { etag: '"a"' };
  expect(await pulled()).toBe('the first rows');
});

it('of an artifact whose server tells no versions the manifest is the one that was listed', async () => {
  const sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  const manifest = JSON.stringify({ files: [{ path: 'a', sizeBytes: 0, sha256 }] });
  web.files = { '/adapter/manifest.json': manifest, '/adapter/a': '' };
  const directory = await pulled('host/adapter');
  expect(readFileSync(join(directory, 'manifest.json'), 'utf8')).toBe(manifest);
  await pulled('host/adapter');
  expect(web.bodies.filter((body) => body === '/adapter/manifest.json 0')).toHaveLength(3);
});
