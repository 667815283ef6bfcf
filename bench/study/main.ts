// make study: runs what is asked for and was not run yet, then writes docs/study.md of all that was kept.
// node bench/study/main.ts [--model smollm2,gemma3-270m] [--task words,spam] [--seeds 1,2,3] [--only WORDS] [--tables]
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { keyOf, run } from './experiment.ts';
import { keep, readFindings } from './findings.ts';
import { frontier } from './frontier.ts';
import { type Experiment, type ModelName, models, settings, type TaskName, tasks } from './settings.ts';
import { studyPage } from './tables.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'smollm2' },
    task: { type: 'string', default: 'words' },
    seeds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    tables: { type: 'boolean', default: false },
  },
});

const experiments = values.model.split(',').flatMap((model) =>
  values.task.split(',').flatMap((task) =>
    values.seeds.split(',').flatMap((seed) =>
      settings
        .filter(({ name }) => name.includes(values.only))
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
    const done = readFindings().some(({ key }) => key === keyOf(experiment));
    console.log(
      `${i + 1}/${experiments.length} ${model}, ${task}, seed ${seed}: ${setting.name}${done ? ' (kept)' : ''}`,
    );
    if (!done) keep(await run(experiment, readFindings()));
    await writePage();
  }
await writePage();

/** The page, and beside it a figure of each model and task. */
async function writePage(): Promise<void> {
  const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
  const findings = readFindings();
  const figures = new Map<string, string>();
  for (const model of Object.keys(models))
    for (const task of Object.keys(tasks)) {
      const name = `${model}-${task}`;
      const own = findings.filter((found) => found.model === model && found.task === task);
      const drawn = await frontier(own, name);
      if (drawn === undefined) continue;
      figures.set(name, `study-${name}.svg`);
      writeFileSync(join(docs, `study-${name}.svg`), drawn);
    }
  writeFileSync(join(docs, 'study.md'), studyPage(findings, figures));
}
