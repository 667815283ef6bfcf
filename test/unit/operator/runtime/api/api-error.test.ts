import { expect, it } from 'vitest';
import { apiErrorFrom } from '../../../../../operator/runtime/api/api-error.ts';
import { ApiError } from '../../../../../operator/runtime/index.ts';

const askedBy = (retryAfter: string | undefined, details: object = {}) =>
  apiErrorFrom('list Thing', { status: 429, retryAfter, body: JSON.stringify({ details }) })
    .retryAfterSeconds;

it('heeds "come back later" for a minute at most, whoever says it and how', () => {
  expect(askedBy('5')).toBe(5);
  expect(askedBy('3600')).toBe(60);
  expect(askedBy(new Date(Date.now() + 86_400_000).toUTCString())).toBe(60);
  expect(askedBy(undefined, { retryAfterSeconds: 1e12 })).toBe(60);
  expect(askedBy(undefined, { retryAfterSeconds: 'soon' })).toBeUndefined();
  expect(askedBy(undefined, { retryAfterSeconds: -5 })).toBeUndefined();
  expect(
    new ApiError('x', { status: 0, reason: '', retryAfterSeconds: Number.NaN }).retryAfterSeconds,
  ).toBeUndefined();
});
