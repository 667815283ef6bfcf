import { expect, test } from 'vitest';
import type { PlugInEntry } from '../../../src/report/record.ts';
import { partiesPart } from '../../../src/report/sections/parties.ts';

const figures = { value: '35.6900', stderr: '4.0000', low: '20.0000', high: '50.0000' };
const party = {
  ...{ digest: 'sha256:0', weight: '1', norm: '1', distance: '0', taken: 1, leftOut: 0, layers: [] },
  without: [{ task: 'words', plugIn: { value: '113.4000', stderr: '9.0000' }, difference: figures }],
};

/** What the report says of the only party of a task by this metric. */
function textOf(metric: string): string {
  const status = {
    aggregate: { method: 'mean', norm: '1' },
    parties: [party],
    evaluation: [{ task: 'words', metric }],
  };
  return partiesPart({ status, manifest: { absent: '' } } as unknown as PlugInEntry)!.text;
}

test('what is gained with a party is above 0 where the plug-in is better with it', () => {
  // With it the perplexity is 35.69 higher.
  expect(textOf('perplexity')).toMatch(/−35\.69.*4\.000.*−50\.00 to −20\.00/s);
  const accuracy = textOf('acc');
  expect(accuracy).toContain('+3569.0');
  expect(accuracy).toContain('+2000.0 to +5000.0');
});
