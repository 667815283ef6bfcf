/** Of a result only what the status knows goes there: the API server refuses a status with more as a whole. */
import { describe, expect, it } from 'vitest';
import { lateResult, resultFields, settle } from '../../../../../operator/jobs/decide/result.ts';
import { rulesFor } from '../../../../../operator/kinds.ts';
import { artifact } from '../../../../support/unit/operator/fixtures.ts';

const rules = rulesFor('OffsiteTune');
const training = { steps: 1 };
const grown = { ...training, other: [1] };
const others = { connected: true, age: 0, recovering: false, output: artifact('a').uri };

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

it('of which the pod had no room for all is added to from what came over NATS', () => {
  const cell = { value: '0.5', stderr: '0.1' };
  const cells = { emulatorZeroShot: cell, emulatorFineTuned: cell };
  const whole = { artifact: artifact('a'), training, validation: { metric: 'acc', samples: 8, cells } };
  expect(lateResult(rules, { artifact: artifact('a'), training } as never, whole)).toEqual(whole);
});

describe('a result that says that its artifact lies elsewhere', () => {
  const output = 'pvc://artifacts/words-adapter';
  const { digest, sizeBytes } = artifact('a');
  const said = (uri: string) => ({ ok: true as const, artifact: { uri, digest, sizeBytes }, isCut: false });
  const elsewhere = [
    'https://evil.example/adapter',
    'pvc://other-claim/words-adapter',
    'file:/etc/offsite/secrets',
    `${output}/`,
    'pvc://artifacts/words-adapter/../../other',
  ];
  const settled = (success: unknown, reported?: unknown) =>
    settle(rules, { ...others, connected: false, recovering: true, output, success, reported } as never);

  it.each(elsewhere)('counts as none: %s', (uri) => {
    const reported = { artifact: { uri, digest, sizeBytes }, training };
    expect(settled(said(uri))).toEqual({ is: 'lost' });
    expect(settled(said(output), reported)).toMatchObject({ fields: { artifact: { uri: output } } });
    expect(settled({ ok: true, artifact: { digest }, isCut: true }, reported)).toEqual({ is: 'lost' });
    const late = { artifact: { uri: output, digest, sizeBytes } };
    expect(lateResult(rules, late, reported)).toEqual({});
  });

  it('is taken where it says the place as the spec does, as every worker has', () => {
    const fields = { artifact: { uri: output, digest, sizeBytes }, training };
    expect(settled(said(output), fields)).toEqual({ is: 'accepted', fields });
  });
});
