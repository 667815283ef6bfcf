import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { pagePath, withRegion } from '../../../bench/page.ts';
import { readFindings } from '../../../bench/preference/findings.ts';
import { pairOf } from '../../../bench/preference/pairs.ts';
import { preferenceTable } from '../../../bench/preference/tables.ts';

it('a question becomes a pair of its right answer and the wrong one behind it', () => {
  const question = { question: 'Which?', choices: ['a', 'b', 'c'], answer: 2 };
  expect(pairOf(question)).toEqual({ prompt: 'Question: Which?\nAnswer:', chosen: ' c', rejected: ' a' });
});

it('the table in the docs is that of the kept runs', () => {
  const page = readFileSync(pagePath('objectives'), 'utf8');
  expect(withRegion(page, 'bench/preference', preferenceTable(readFindings())) === page).toBe(true);
});

it('a run is a line: what each model prefers rightly, and the gain in standard errors', () => {
  const cell = (value: string) => ({ value, stderr: '0.0300' });
  const cells = {
    ...{ fullZeroShot: cell('0.8000'), emulatorZeroShot: cell('0.5000') },
    ...{ emulatorFineTuned: cell('0.6000'), plugIn: cell('0.9000') },
  };
  const gain = { name: 'plugIn - fullZeroShot', value: '0.1000', stderr: '0.0250', low: '0', high: '0' };
  const setting = { name: 'dpo', objective: { type: 'dpo', beta: '0.1' }, learningRate: '5e-4' };
  expect(preferenceTable([{ ...setting, samples: 300, cells, differences: [gain] }])).toContain(
    '| `{type: dpo, beta: "0.1"}` | 5e-4 | 300 | 0.800 ± 0.030 | 0.500 ± 0.030 | 0.600 ± 0.030 | 0.900 ± 0.030 | 0.100 ± 0.025 | 4.0 |',
  );
  expect(preferenceTable([])).toBe('No run was kept yet.');
});
