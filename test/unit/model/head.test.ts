import { expect, test } from 'vitest';
import { statesAtOnce } from '../../../src/model/head.ts';

test('the head takes 64 states at once, and fewer only of a vocabulary that no usual model has', () => {
  const sizes = [1, 50_257, 262_144, 2 ** 20, 2 ** 20 + 1, 2 ** 21, 2 ** 22];
  expect(sizes.map(statesAtOnce)).toEqual([64, 64, 64, 64, 48, 32, 16]);
});
