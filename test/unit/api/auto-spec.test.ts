import { expect, test } from 'vitest';
import { parseResource, wayOf } from '../../../src/api/index.ts';

const auto = { leakAtMost: '0.3', sizeAtMost: '0.5' };
const build = (fields: object) =>
  parseResource(
    {
      ...{ apiVersion: 'offsite-tuning.dev/v1alpha1', kind: 'EmulatorBuild', metadata: { name: 'words' } },
      spec: {
        ...{ model: { uri: 'file:m' }, probe: { data: { uri: 'file:p.jsonl', format: 'text' } } },
        ...{ output: { uri: 'file:o' }, ...fields },
      },
    },
    'words.yaml',
  ).spec as Parameters<typeof wayOf>[0];

test.each([
  [{ auto, strategy: 'crash' }, 'spec.strategy: is found by spec.auto'],
  [{ auto, layers: 3 }, 'spec.layers: is found by spec.auto'],
  [{ auto, compression: { type: 'none' } }, 'spec.compression: is found by spec.auto'],
  [{ auto: { leakAtMost: '0.3' } }, 'spec.auto.sizeAtMost'],
  [{ auto: { ...auto, leakAtMost: '1.1' } }, 'spec.auto.leakAtMost: must be a number'],
  [{ auto: { ...auto, sizeAtMost: '0' } }, 'spec.auto.sizeAtMost: must be a number'],
  [{ auto: { ...auto, exactAtMost: '-1' } }, 'spec.auto.exactAtMost: must be a number'],
  [{}, 'spec.layers: must say how many layers are kept'],
  [{ layers: 3 }, 'spec.transferLayers: must name no more layers than spec.layers keeps'],
  [{ strategy: 'none', compression: { type: 'none', ratio: '0.5' } }, 'spec.compression.ratio: is only for'],
  [
    { strategy: 'none', compression: { type: 'none' }, refine: { type: 'distil' } },
    'spec.refine: needs spec.compression',
  ],
])('a wrong field is refused by its name: %j', (fields, message) => {
  expect(() => build(fields)).toThrow(message);
});

test('a way is found, or what the spec says with what it means where it says nothing', () => {
  expect(wayOf(build({ auto }))).toBeUndefined();
  expect(wayOf(build({ auto, transferLayers: { count: 0 }, refine: { type: 'distil' } }))).toBeUndefined();
  expect(wayOf(build({ layers: 4 }))).toEqual({
    ...{ strategy: 'crash', layers: 4, transferLayers: { count: 4 } },
  });
});

test('compression of type none is none at all', () => {
  const way = { strategy: 'none', transferLayers: { count: 4 } };
  expect(wayOf(build({ strategy: 'none', compression: { type: 'none' } }))).toEqual(way);
  expect(wayOf(build({ strategy: 'none' }))).toEqual(way);
});
