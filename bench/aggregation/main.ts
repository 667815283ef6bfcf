// The attack matrix, of which what was not run yet is run, then its tables in docs/aggregation.md.
// node bench/aggregation/main.ts [--only ATTACK,...] [--methods METHOD,...] [--tables]; needs `make model study-data`
import { parseArgs } from 'node:util';
import { writeRegion } from '../page.ts';
import { readFindings } from './findings.ts';
import { fillMatrix } from './matrix.ts';
import { matrixTables } from './tables.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    methods: { type: 'string' },
    tables: { type: 'boolean', default: false },
  },
});
if (!values.tables) await fillMatrix(values.only?.split(','), values.methods?.split(','));
writeRegion('aggregation', 'bench/aggregation', matrixTables(readFindings()));
