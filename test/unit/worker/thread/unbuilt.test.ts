import { expect, test } from 'vitest';
import { refuseUnbuilt } from '../../../../src/worker/thread/unbuilt.ts';

test.each([
  [{ signers: [{ name: 'bank' }] }, 'spec.signers'],
  [{ output: { uri: 'file:a', signingKeyRef: { name: 'key' } } }, 'spec.output.signingKeyRef'],
])('%o is refused by its field', (spec, field) => {
  expect(() => refuseUnbuilt(spec)).toThrow(`${field}: is not computed by this version; remove it`);
});

test('what is computed is not', () => {
  refuseUnbuilt({ signers: [], objective: { type: 'dpo' }, output: { uri: 'file:a' } });
});
