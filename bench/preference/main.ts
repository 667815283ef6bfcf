// Preferences learnt on an emulator, measured in the full model: runs what was not run yet, then the table in docs/objectives.md.
// node bench/preference/main.ts [--only dpo,orpo] [--tables]; needs `make model data`
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeRegion } from '../page.ts';
import { type Resource, resource, root, runResources, statusOf } from '../resources.ts';
import { type Cells, isKept, keep, readFindings } from './findings.ts';
import { writePairs } from './pairs.ts';
import { course, type Setting, settings, testPairs, trainPairs } from './settings.ts';
import { preferenceTable } from './tables.ts';

const { values } = parseArgs({
  options: { only: { type: 'string', default: '' }, tables: { type: 'boolean', default: false } },
});
const work = join(root, '.offsite/preference');
const wanted =
  values.only === '' ? settings : settings.filter(({ name }) => values.only.split(',').includes(name));

if (!values.tables)
  for (const setting of wanted) {
    if (isKept(setting.name, testPairs)) continue;
    console.log(`preference: ${setting.name}`);
    const [build, tune, plugIn] = resourcesOf(setting) as [Resource, Resource, Resource];
    runResources(work, [build, tune, plugIn]);
    const { evaluation } = statusOf(work, plugIn) as { evaluation: Cells[] };
    keep({ ...setting, ...cellsOf(evaluation[0]!) });
    writeRegion('objectives', 'bench/preference', preferenceTable(readFindings()));
  }
writeRegion('objectives', 'bench/preference', preferenceTable(readFindings()));

/** What is kept of a task's result. */
function cellsOf({ samples, cells, differences }: Cells): Cells {
  return { samples, cells, differences };
}

function resourcesOf({ name, objective, learningRate }: Setting): Resource[] {
  const words = join(root, '.offsite/data/words');
  const pairs = (split: string, count: number) =>
    writePairs(join(words, `${split}.jsonl`), join(work, 'pairs'), `${split}.jsonl`, count);
  const model = { uri: `file:${join(root, '.offsite/models/smollm2')}` };
  const released = { data: { uri: `file:${pairs('test', testPairs)}` }, format: 'preference' };
  const engine = { threads: 1 };
  return [
    resource('EmulatorBuild', 'words', {
      model,
      probe: {
        data: { uri: `file:${join(words, 'probe.jsonl')}`, format: 'text' },
        ...{ samples: 128, maxLength: course.maxLength, skipFirst: true },
      },
      strategy: 'none',
      compression: { type: 'lowRank', ratio: '0.35' },
      transferLayers: { count: 0 },
      engine,
      output: { uri: `file:${join(work, 'emulator')}` },
    }),
    resource('OffsiteTune', name, {
      emulator: { ref: { name: 'words' } },
      data: { uri: `file:${pairs('train', trainPairs)}`, format: 'preference' },
      adapter: { type: 'lora', rank: 8, alpha: 16 },
      objective,
      training: { ...course, learningRate },
      engine,
      output: { uri: `file:${join(work, name)}` },
    }),
    resource('PlugIn', name, {
      model,
      emulator: { ref: { name: 'words' } },
      adapter: { ref: { name } },
      evaluation: {
        tasks: [{ name: 'pairs', metric: 'acc', ...released }],
      },
      engine,
      output: { uri: `file:${join(work, `${name}-plugged`)}`, save: 'none' },
    }),
  ];
}
