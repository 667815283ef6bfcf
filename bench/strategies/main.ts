// What each way to an emulator costs on SmolLM2-135M: processor seconds and peak memory of both stages, as pods run them.
// node bench/strategies/main.ts [--only PART OF A NAME] [--tables]; kept in costs.json, told in docs/emulators.md.
import { parseArgs } from 'node:util';
import { writeRegion } from '../page.ts';
import { costs, keyOf, probe, toldCosts } from './costs.ts';
import { buildCost } from './stages.ts';
import { ways } from './ways.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, tables: { type: 'boolean', default: false } },
});

if (!values.tables)
  for (const way of ways.filter(({ name }) => name.includes(values.only))) {
    const { name, build } = way;
    const key = keyOf(way);
    if (costs.read().some((cost) => cost.key === key)) continue;
    console.log(name);
    const cost = await buildCost({
      probe: { data: { uri: 'pvc://data/words/probe.jsonl', format: 'text' }, ...probe },
      transferLayers: { count: 'compression' in build ? 0 : 4 },
      ...build,
    });
    costs.keep({ key, way: name, ...cost });
  }
writeRegion('emulators', 'bench/strategies', toldCosts());
