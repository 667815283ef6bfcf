import { expect, test } from 'vitest';
import { parseResource } from '../../../src/api/index.ts';

const build = (fields: object) => ({
  ...{ apiVersion: 'offsite-tuning.dev/v1alpha1', kind: 'EmulatorBuild', metadata: { name: 'words' } },
  spec: {
    ...{ model: { uri: 'file:m' }, probe: { data: { uri: 'file:p.jsonl', format: 'text' } } },
    ...{ strategy: 'none', compression: { type: 'lowRank' }, output: { uri: 'file:o' } },
    ...fields,
  },
});
const leakTest = { data: { uri: 'file:d.jsonl', format: 'text' }, tokens: [10, 20, 30] };

test.each([
  [{ refine: { type: 'distil' }, compression: undefined }, 'spec.refine: needs spec.compression'],
  [{ refine: { type: 'distil', margin: '2' } }, 'spec.refine.margin: is only for type elevate'],
  [{ refine: { type: 'elevate', kdWeight: '2' } }, 'spec.refine.kdWeight: is only for type distil'],
  [{ refine: { type: 'distil', lmWeight: '0', kdWeight: '0' } }, 'spec.refine: must not have both'],
  [{ refine: { type: 'distil', steps: 0 } }, 'spec.refine.steps'],
  [{ refine: { type: 'distil', learningRate: '0' } }, 'spec.refine.learningRate: must be a number above 0'],
  [{ refine: { type: 'fit' } }, 'spec.refine.type'],
  [{ leakTest: { ...leakTest, tokens: [10, 20] } }, 'spec.leakTest.tokens'],
  [{ leakTest: { ...leakTest, tokens: [10, 30, 20] } }, 'spec.leakTest.tokens: must rise'],
  [{ leakTest: { ...leakTest, tokens: [0, 30, 40] } }, 'spec.leakTest.tokens'],
  [{ leakTest, evaluation: { limit: 1 } }, 'spec.leakTest: needs rows to measure on'],
])('a wrong field is refused by its name: %j', (fields, message) => {
  expect(() => parseResource(build(fields), 'words.yaml')).toThrow(message);
});

test('what is absent stays absent', () => {
  const { spec } = parseResource(build({}), 'words.yaml');
  expect(spec).not.toHaveProperty('refine');
  expect(spec).not.toHaveProperty('leakTest');
  const task = { data: { uri: 'file:t.jsonl' }, format: 'text' };
  const tested = parseResource(
    build({ leakTest: { ...leakTest, task }, evaluation: { limit: 0 } }),
    'words.yaml',
  );
  expect(tested.spec).toMatchObject({
    leakTest: { learningRate: '1e-4', batchSize: 16, maxLength: 256, seed: 42 },
  });
});
