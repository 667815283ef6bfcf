import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { TrainingRecord } from '../../../src/training/index.ts';
import { checkpointsOfTraining, saveState } from '../../../src/training/index.ts';
import { readHistory, restoreRecord, writeHistory } from '../../../src/tuning/history.ts';

const root = mkdtempSync(join(tmpdir(), 'history-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const [history, checkpoints] = [join(root, 'history.json'), join(root, 'checkpoints')];
const identity = `sha256:${'a'.repeat(64)}`;

const none = Number.NaN;
/** Of a training that hides its rows: a step without any, and validation rows that have no score, a single one of which has one. */
const record: TrainingRecord = {
  ...{ step: 2, cursor: { epoch: 0, index: 0 }, tokens: 9, resumes: 1, bestStep: 2 },
  losses: [1.5, none],
  evaluations: [
    { step: 0, loss: 2, cell: { value: 0.5, stderr: none } },
    { step: 2, loss: none, cell: { value: none, stderr: none } },
  ],
};
const { losses, evaluations, bestStep } = record;

it('losses and cells that are no numbers are what the history of finished work says', () => {
  writeHistory(history, { identity }, record);
  expect(readHistory({ history, checkpoints }, { finished: true })).toEqual({
    losses,
    evaluations,
    bestStep,
  });
  const restored = { ...record, losses: [], evaluations: [], bestStep: 0 };
  expect(restoreRecord(history, { names: ['other', identity], adapter: 'a' }, restored)).toBe(true);
  expect(restored).toEqual(record);
});

it('what is said of an adapter is told of no other, and of other work nothing', () => {
  writeHistory(history, { identity, adapter: 'a' }, record);
  const of = (name: string, adapter: string) =>
    restoreRecord(history, { names: [name], adapter }, structuredClone(record));
  expect([of(identity, 'a'), of(identity, 'b'), of('other', 'a')]).toEqual([true, false, false]);
});

it('and what that of a checkpoint says', () => {
  saveState(checkpointsOfTraining(checkpoints, identity), identity, { record, tensors: [] });
  expect(readHistory({ history, checkpoints }, { finished: false })).toEqual({
    losses,
    evaluations,
    bestStep,
  });
});

it('a loss that is a text is damaged', () => {
  writeFileSync(history, JSON.stringify({ losses: ['2'], evaluations, bestStep }));
  expect(() => readHistory({ history, checkpoints }, { finished: true })).toThrow('history.json: is damaged');
});
