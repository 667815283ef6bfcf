import { expect, it } from 'vitest';
import type { Example } from '../../../../src/data/index.ts';
import { chanceOf, rowsDigest, tokensDigest } from '../../../../src/tuning/privacy/index.ts';

const key = new Uint8Array(32).fill(7);
const rows: Example[] = [
  { row: 0, trunk: [5, 6, 7], branches: [[8], [9, 10]], answer: 1, bytes: [1, 2] },
  { row: 1, trunk: [1, 2, 3, 4], branches: [], spans: [[1, 3]], bytes: [] },
];
const first = (examples: readonly Example[], what = 'noise 0 w', identity = 'sha256:a', own = key) =>
  chanceOf(own, identity, tokensDigest(examples))(what).uniform();

it('is the same for the same key, work, rows and purpose', () => {
  expect(first(structuredClone(rows))).toBe(first(rows));
});

it.each<[string, (examples: Example[]) => Parameters<typeof first>]>([
  ['another purpose', (examples) => [examples, 'noise 1 w']],
  ['another work', (examples) => [examples, 'noise 0 w', 'sha256:b']],
  ['another key', (examples) => [examples, 'noise 0 w', 'sha256:a', new Uint8Array(32).fill(8)]],
  ['a row less', ([one]) => [[one!]]],
  ['another order', (examples) => [examples.reverse()]],
  ['one other token of a prompt', ([one, two]) => [[{ ...one!, trunk: [5, 6, 8] }, two!]]],
  ['a token on the other side of a choice', ([one, two]) => [[{ ...one!, branches: [[8, 9], [10]] }, two!]]],
  ['another right answer', ([one, two]) => [[{ ...one!, answer: 0 }, two!]]],
  ['other targets of a text', ([one, two]) => [[one!, { ...two!, spans: [[2, 3]] }]]],
])('is another for %s', (_, changed) => {
  expect(first(...changed(structuredClone(rows)))).not.toBe(first(rows));
});

it('digests rows in any order alike, each as often as it stands there', () => {
  const [one, two] = rows as [Example, Example];
  const moved = [
    { ...two, row: 0 },
    { ...one, row: 1 },
  ];
  expect(rowsDigest(moved)).toBe(rowsDigest(rows));
  expect(rowsDigest([one, one, two])).not.toBe(rowsDigest([one, two, two]));
  expect(rowsDigest([one, one])).not.toBe(rowsDigest([one]));
  expect(rowsDigest([one, { ...two, spans: [[2, 3]] }])).not.toBe(rowsDigest(rows));
});
