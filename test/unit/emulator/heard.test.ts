// What the full model said of the held-out rows, kept for the next build: read again where it is that, and computed where it is not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { inPlace } from '../../../src/artifact/index.ts';
import { type Heard, keptHeard } from '../../../src/emulator/heard.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-heard-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const likelihoods = [{ row: 3, logLikelihood: [-1.5, -2], tokens: [0, 4], greedy: [false, true] }];
const said: Heard = { likelihoods, greedyTokens: new Int32Array([5, 6, 7]) };

it.each<[string, Heard, { targets?: number }]>([
  ['likelihoods alone', { likelihoods }, {}],
  ['the tokens too', said, { targets: 3 }],
])('is kept, %s; what is damaged or something else is computed again', async (_, heard, targets) => {
  const file = { path: join(directory, 'kept.json'), keeper: inPlace, ...targets };
  let computed = 0;
  const ask = async () =>
    await keptHeard(file, async () => {
      computed++;
      return heard;
    });
  for (let times = 0; times < 2; times++) expect(await ask()).toEqual(heard);
  expect(computed).toBe(1);
  for (const text of [
    '',
    'null',
    '7',
    '{}',
    '[1]',
    '[{"row":-1}]',
    '{"likelihoods":[{}],"greedyTokens":""}',
  ]) {
    writeFileSync(file.path, text);
    computed = 0;
    expect(await ask(), text).toEqual(heard);
    expect(computed, text).toBe(1);
  }
});
