import { expect, it } from 'vitest';
import { bytesOf, isTrue, setCondition } from '../../../src/api/index.ts';

const failed = {
  type: 'Failed',
  status: 'True',
  reason: 'BadData',
  message: 'm',
  observedGeneration: 1,
} as const;

it('keeps one condition of a type, and its time while its status stays', () => {
  const first = setCondition(undefined, failed, '2026-01-01T00:00:00Z');
  const again = setCondition(first, { ...failed, reason: 'BadModel' }, '2026-01-02T00:00:00Z');
  expect(again).toEqual([{ ...failed, reason: 'BadModel', lastTransitionTime: '2026-01-01T00:00:00Z' }]);
  const mended = setCondition(again, { ...failed, status: 'False' }, '2026-01-03T00:00:00Z');
  expect(mended[0]?.lastTransitionTime).toBe('2026-01-03T00:00:00Z');
  expect([isTrue(again, 'Failed'), isTrue(mended, 'Failed'), isTrue(again, 'Complete')]).toEqual([
    true,
    false,
    false,
  ]);
  const two = setCondition(mended, { ...failed, type: 'Complete' }, '2026-01-04T00:00:00Z');
  expect(two.map(({ type }) => type)).toEqual(['Complete', 'Failed']);
});

it.each([
  ['1000', 1000],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['2G', 2e9],
  ['512Mi', 512 * 2 ** 20],
])('reads the quantity %s', (quantity, bytes) => expect(bytesOf(quantity)).toBe(bytes));
