// What aggregation costs: seconds and memory of 32 adapters for the layers of a 1B model, by the PlugIn's own code.
// node bench/aggregation/cost.ts [--type layers|lora|lora-down] [--layers 4] [--methods mean,median] [--keep] [--tables]
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Aggregation, OffsiteTuneSpec } from '../../src/api/index.ts';
import { openModel } from '../../src/model/index.ts';
import { openAdapter } from '../../src/plugin/adapter.ts';
import { aggregateAdapters, checkParties } from '../../src/plugin/aggregate.ts';
import { measure } from '../child.ts';
import { writeRegion } from '../page.ts';
import { cpuSecondsOf, peakBytesOf } from '../process.ts';
import { root } from '../resources.ts';
import { type Cost, costTable } from './cost-table.ts';
import { adapterIn, bundleOf, emulator, modelIn, writeSynthetic } from './synthetic.ts';

const parties = 32;
const types: Readonly<Record<string, OffsiteTuneSpec['adapter']>> = {
  layers: { type: 'layers' },
  lora: { type: 'lora', rank: 8, alpha: 16 },
  /** Beside the layer's last map, which is the largest: 16.8 of its 60.8 million numbers. */
  'lora-down': { type: 'lora', rank: 8, alpha: 16, targetModules: ['down_proj'] },
};
/** Of 32 parties 9 attack, or as many as the method can be told of. */
const aggregations: Readonly<Record<string, Aggregation>> = {
  mean: { method: 'mean' },
  median: { method: 'median' },
  trimmedMean: { method: 'trimmedMean', trim: 9 },
  geometricMedian: { method: 'geometricMedian' },
  krum: { method: 'krum', attackers: 9 },
  multiKrum: { method: 'multiKrum', attackers: 9 },
  bulyan: { method: 'bulyan', attackers: 7 },
  normClip: { method: 'normClip' },
  lasa: { method: 'lasa' },
  linear: { method: 'linear' },
  ties: { method: 'ties' },
  dareTies: { method: 'dareTies' },
};

interface Job {
  readonly directory: string;
  readonly layers: number;
  readonly aggregation: Aggregation;
  readonly asAdapter: boolean;
}

type Measured = Pick<Cost, 'opening' | 'aggregating' | 'peakBytes'>;

/** In a process of its own: opens all adapters as a PlugIn does, and makes one of them. */
function run({ directory, layers, aggregation, asAdapter }: Job): Measured {
  const bundle = bundleOf(layers);
  const model = openModel(modelIn(directory));
  const opened = Array.from({ length: parties }, (_, party) => ({
    adapter: openAdapter(adapterIn(directory, party), { model, emulator, bundle }),
    directory: adapterIn(directory, party),
    weight: '1',
  }));
  checkParties(opened, { model, bundle });
  const opening = cpuSecondsOf(process.pid);
  const aggregated = aggregateAdapters(opened, {
    ...{ model, bundle, aggregation, asAdapter, directory: join(directory, `made-${process.pid}`) },
    beforeEach: () => {},
  });
  aggregated.close();
  const aggregating = cpuSecondsOf(process.pid) - opening;
  return { opening, aggregating, peakBytes: peakBytesOf(process.pid) };
}

const kept = fileURLToPath(new URL('cost.json', import.meta.url));
const readKept = (): Cost[] => (existsSync(kept) ? (JSON.parse(readFileSync(kept, 'utf8')) as Cost[]) : []);

function keep(cost: Cost): void {
  const keyOf = ({ type, method, layers, asAdapter }: Cost) => [type, method, layers, asAdapter].join();
  const all = [...readKept().filter((other) => keyOf(other) !== keyOf(cost)), cost];
  writeFileSync(`${kept}.part`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${kept}.part`, kept);
}

const { values } = parseArgs({
  options: {
    type: { type: 'string', default: 'lora' },
    layers: { type: 'string', default: '4' },
    methods: { type: 'string', default: 'mean' },
    adapter: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    tables: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
});

if (values.child) {
  console.log(JSON.stringify(run(JSON.parse(readFileSync(0, 'utf8')) as Job)));
} else {
  const layers = Number(values.layers);
  const directory = join(root, '.offsite/aggregation-cost', `${values.type}-${layers}`);
  for (const method of values.tables ? [] : values.methods.split(',')) {
    writeSynthetic(directory, { layers, parties, type: types[values.type]! });
    const job: Job = { directory, layers, aggregation: aggregations[method]!, asAdapter: values.adapter };
    const child = [fileURLToPath(import.meta.url), '--child'];
    const { wallSeconds: _, ...found } = await measure<Measured>(process.execPath, child, job);
    console.log(`${values.type}, ${layers} layers, ${method}: ${JSON.stringify(found)}`);
    keep({ type: values.type, method, layers, parties, asAdapter: values.adapter, ...found });
  }
  if (!values.keep) rmSync(directory, { recursive: true, force: true });
  writeRegion('aggregation', 'bench/aggregation/cost', costTable(readKept()));
}
