import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pairBranches } from '../../../src/data/index.ts';
import { keptReference } from '../../../src/tuning/reference.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'reference-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const examples = [0, 1, 2].map((row) => ({
  row,
  trunk: [1],
  branches: [[2], [3]],
  answer: 1,
  bytes: [1, 1],
}));
const said = examples.map(({ row }) => {
  const logLikelihood = [0, 0, 0];
  logLikelihood[pairBranches.chosen] = -1 / 3 - row;
  logLikelihood[pairBranches.rejected] = -(2 ** 0.5) * 100;
  return { row, logLikelihood, tokens: [0, 1, 1] };
});
const expected = new Map(
  examples.map(({ row }) => [row, { chosen: -1 / 3 - row, rejected: -(2 ** 0.5) * 100 }]),
);

/** The reference, and how often it was computed for that. */
async function found(identity: string, rows = examples, of = said, takesAll = false) {
  let computed = 0;
  const reference = await keptReference(
    { directory: join(parent, 'own'), name: 'rows', identity, takesAll },
    rows,
    async () => {
      computed++;
      return of;
    },
  );
  return { reference: new Map(rows.map(({ row }) => [row, reference.get(row)])), computed };
}

test('it is computed once, and found again to the last bit', async () => {
  expect(await found('a')).toEqual({ reference: expected, computed: 1 });
  expect(await found('a')).toEqual({ reference: expected, computed: 0 });
  expect(readdirSync(join(parent, 'own'))).toEqual(['reference-rows.json']);
});

test('that of other work, of other rows, and a damaged one is computed anew', async () => {
  await found('a');
  expect((await found('b')).computed).toBe(1);
  expect((await found('b', examples.slice(1), said.slice(1))).computed).toBe(1);
  const file = join(parent, 'own', 'reference-rows.json');
  for (const change of [
    (text: string) => text.slice(0, -9),
    (text: string) => text.replace(/"likelihoods":"../, '"likelihoods":"AA'),
    () => '{"identity":"c","likelihoods":7,"seal":null}',
    () => '[]',
  ]) {
    await found('c');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    expect(await found('c')).toEqual({ reference: expected, computed: 1 });
    expect((await found('c')).computed).toBe(0);
  }
});

test('an answer without any probability is refused with its row', async () => {
  const none = said.map((row, i) =>
    i === 1 ? { ...row, logLikelihood: [0, -1, Number.NEGATIVE_INFINITY] } : row,
  );
  await expect(found('a', examples, none)).rejects.toMatchObject({
    reason: 'BadModel',
    message: 'the emulator gives an answer of row 2 (rows) no probability to compare with',
  });
  expect(readdirSync(parent)).toEqual([]);

  // Of rows that are hidden it is taken, and kept, as it is: that no adapter comes would tell of the row.
  const taken = new Map(expected).set(1, { chosen: Number.NEGATIVE_INFINITY, rejected: -1 });
  for (const computed of [1, 0])
    expect(await found('a', examples, none, true)).toEqual({ reference: taken, computed });
});
