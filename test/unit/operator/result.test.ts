/** Of a result only what the status knows goes there: the API server refuses a status with more as a whole. */
import { expect, it } from 'vitest';
import { resultFields, settle } from '../../../operator/jobs/decide/result.ts';
import { rules } from '../../../operator/offsite-tune/index.ts';
import { artifact } from './fixtures.ts';

const training = { steps: 1 };
const grown = { ...training, other: [1] };
const others = { connected: true, age: 0, recovering: false };

it('leaves out what no schema knows, at every level', () => {
  const place = { ...artifact('a'), evil: 1 };
  expect(resultFields(rules, { artifact: place, training: grown, more: 1 })).toEqual({
    artifact: artifact('a'),
    training,
  });
});

it('takes a report that agrees with the pod in all that both are known for', () => {
  const success = { ok: true as const, stage: 'tune', artifact: artifact('a'), summary: { training: grown } };
  const reported = { artifact: artifact('a'), training: grown };
  expect(settle(rules, { ...others, reported, success: { ...success, isCut: true } } as never)).toEqual({
    is: 'accepted',
    fields: { artifact: artifact('a'), training },
  });
});
