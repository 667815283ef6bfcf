import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import costs from '../../../bench/aggregation/cost.json' with { type: 'json' };
import { costTable } from '../../../bench/aggregation/cost-table.ts';
import { readFindings } from '../../../bench/aggregation/findings.ts';
import { matrixTables } from '../../../bench/aggregation/tables.ts';
import { pagePath, withRegion } from '../../../bench/page.ts';

test('the tables of aggregation in the docs are those of the kept runs', () => {
  const page = readFileSync(pagePath('aggregation'), 'utf8');
  expect(withRegion(page, 'bench/aggregation', matrixTables(readFindings())) === page).toBe(true);
  expect(withRegion(page, 'bench/aggregation/cost', costTable(costs)) === page).toBe(true);
});
