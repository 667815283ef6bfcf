// make study: runs what is asked for and was not run yet, then writes docs/study.md of all that was kept.
// node bench/study/main.ts [--model smollm2,gemma3-270m] [--task words,spam] [--seeds 1,2,3] [--only PART OF A NAME] [--tables]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { keyOf, run } from './experiment.ts';
import { findings } from './findings.ts';
import { studyFiles } from './page.ts';
import {
  type Experiment,
  isTried,
  type ModelName,
  models,
  rowsOf,
  settings,
  type TaskName,
  tasks,
} from './settings.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2' },
    task: { type: 'string', default: 'words' },
    seeds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    tables: { type: 'boolean', default: false },
  },
});

// a whole name means that setting alone, though others' names begin with it
const exact = settings.some(({ name }) => name === values.only);
const experiments = values.model.split(',').flatMap((model) =>
  values.task.split(',').flatMap((task) =>
    values.seeds.split(',').flatMap((seed) =>
      settings
        .filter(({ name }) => (exact ? name === values.only : name.includes(values.only)))
        .filter((setting) => isTried(setting, task as TaskName))
        .map((setting): Experiment => {
          if (!(model in models) || !(task in tasks))
            throw new Error(`there is no model ${model}, or no task ${task}, in the study`);
          return { setting, model: model as ModelName, task: task as TaskName, seed: Number(seed) };
        }),
    ),
  ),
);

if (!values.tables)
  for (const [i, experiment] of experiments.entries()) {
    const { setting, model, task, seed } = experiment;
    const done = findings
      .read()
      .some(({ key, rows }) => key === keyOf(experiment) && rows.plugIn.length >= rowsOf(experiment));
    console.log(
      `${i + 1}/${experiments.length} ${model}, ${task}, seed ${seed}: ${setting.name}${done ? ' (kept)' : ''}`,
    );
    if (!done) findings.keep(await run(experiment, findings.read()));
    await writePage();
  }
await writePage();

async function writePage(): Promise<void> {
  const docs = new URL('../../docs/', import.meta.url);
  for (const [name, content] of await studyFiles()) writeFileSync(new URL(name, docs), content);
}
