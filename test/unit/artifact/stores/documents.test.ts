import { setTimeout as sleep } from 'node:timers/promises';
import { Response } from 'undici';
import { expect, it, test } from 'vitest';
import { resolveUri } from '../../../../src/artifact/index.ts';
import { documentOf } from '../../../../src/artifact/stores/http.ts';
import { badNames } from '../../../support/hostile/index.ts';

const answer = (chunks: AsyncIterable<Uint8Array>) => new Response(chunks as never);

it('a document that comes byte by byte is broken off in the end, and the connection with it', async () => {
  let open = true;
  const trickle = (async function* () {
    try {
      for (;;) {
        yield Buffer.from(' ');
        await sleep(1);
      }
    } finally {
      open = false;
    }
  })();
  await expect(documentOf(answer(trickle), 'https://host/manifest.json', 30)).rejects.toMatchObject({
    reason: 'StoreUnavailable',
    message: 'https://host/manifest.json: its server takes longer than 0.03 s',
  });
  await expect.poll(() => open).toBe(false);
});

it('a document without end is read as far as 16 MiB', async () => {
  let sent = 0;
  const endless = (async function* () {
    for (;;) {
      sent += 2 ** 20;
      yield Buffer.alloc(2 ** 20);
    }
  })();
  expect(await documentOf(answer(endless), 'https://host/manifest.json')).toBeUndefined();
  expect(sent).toBeLessThan(32 * 2 ** 20);
});

it('a document that breaks off is told as such', async () => {
  const broken = (async function* () {
    yield Buffer.from('{');
    throw new TypeError('terminated');
  })();
  await expect(documentOf(answer(broken), 'hf://team/words')).rejects.toMatchObject({
    reason: 'StoreUnavailable',
    message: 'hf://team/words: the connection broke while it was read',
  });
});

const mounts = { claims: {}, base: '/', scratch: '/scratch' };
test.each(
  ['s3://bucket', 'https://host', 'hf://team/words'].flatMap((start) =>
    badNames.map(({ name }) => ({ start, name })),
  ),
)('the place $start/$name is none', ({ start, name }) => {
  // One "/" at the end of a place is allowed, and says nothing.
  if (name === '' && start === 'hf://team/words') return;
  expect(() => resolveUri(`${start}/${name}`, mounts, 'spec.model.uri')).toThrow(
    expect.objectContaining({ reason: 'BadSpec', message: expect.stringMatching(/^spec\.model\.uri: /) }),
  );
});

test.each([
  'https://a%2fb/c',
  'https://[/c',
  'hf://te?am/words',
  'hf://team/wo#rds',
  'hf://datasets/te%2fam/words',
])('%s names no place', (uri) => {
  expect(() => resolveUri(uri, mounts, 'spec.model.uri')).toThrow(
    expect.objectContaining({
      reason: 'BadSpec',
      message: expect.stringContaining('spec.model.uri: must be'),
    }),
  );
});
