import { expect, test } from 'vitest';
import { WatchedRuns } from '../../../src/cli/watched-runs.ts';
import type { HeardMessage, StageEvent } from '../../../src/progress/index.ts';

const progress: StageEvent = { type: 'progress', stage: 'tune', progressPercentage: 10, metrics: [] };
const result: StageEvent = { type: 'result', stage: 'tune', result: {} };
const message = ([namespace, uid, attempt, event]: Told, heard: number) =>
  ({ kind: 'OffsiteTune', name: 'words', namespace, uid, attempt, event, heard }) as unknown as HeardMessage;

type Told = [namespace: string, uid: string, attempt: number, event: StageEvent];

test.each<[string, Told[], boolean]>([
  ['nothing', [], false],
  ['what runs', [['data', 'a', 1, progress]], false],
  [
    'its result',
    [
      ['data', 'a', 1, progress],
      ['data', 'a', 1, result],
    ],
    true,
  ],
  [
    'more of it behind its result',
    [
      ['data', 'a', 1, result],
      ['data', 'a', 1, progress],
    ],
    true,
  ],
  [
    'a result of an earlier resource of the name',
    [
      ['data', 'a', 1, result],
      ['data', 'b', 1, progress],
    ],
    false,
  ],
  [
    'one that comes late',
    [
      ['data', 'a', 1, progress],
      ['data', 'b', 1, progress],
      ['data', 'a', 1, result],
    ],
    false,
  ],
  [
    'a result of an earlier attempt',
    [
      ['data', 'a', 1, result],
      ['data', 'a', 2, progress],
    ],
    false,
  ],
  [
    'that of the newest',
    [
      ['data', 'a', 1, result],
      ['data', 'a', 2, progress],
      ['data', 'a', 2, result],
    ],
    true,
  ],
  [
    'a result in another namespace',
    [
      ['data', 'a', 1, progress],
      ['lab', 'z', 1, result],
    ],
    false,
  ],
  [
    'results in both',
    [
      ['data', 'a', 1, result],
      ['lab', 'z', 1, result],
    ],
    true,
  ],
  ['a stage that is not the last', [['data', 'a', 1, { ...result, stage: 'probe' }]], false],
])('%s', (_, told, haveEnded) => {
  const runs = new WatchedRuns();
  for (const [i, one] of told.entries()) runs.hear(message(one, i));
  expect(runs.haveEnded).toBe(haveEnded);
});

test('what was held back came before', () => {
  const runs = new WatchedRuns();
  runs.hear(message(['data', 'b', 1, progress], 3));
  runs.hear(message(['data', 'a', 1, progress], 1));
  runs.hear(message(['data', 'a', 1, result], 2));
  expect(runs.haveEnded).toBe(false);
});
