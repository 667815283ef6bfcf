// make study: runs what is asked for and was not run yet, then writes docs/study.md of all that was kept.
// node bench/study/main.ts [--model smollm2,gemma3-270m] [--task words,spam] [--seeds 1,2,3] [--only PART OF A NAME] [--tables]
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attacksKept } from './attacks.ts';
import { autosKept } from './autos.ts';
import { curvesFigure, curvesPart } from './curves.ts';
import { keyOf, run } from './experiment.ts';
import { findings } from './findings.ts';
import { autosPart } from './found.ts';
import { frontier } from './frontier.ts';
import {
  type Experiment,
  type ModelName,
  models,
  rowsOf,
  settings,
  type TaskName,
  tasks,
} from './settings.ts';
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

// a whole name means that setting alone, though others' names begin with it
const exact = settings.some(({ name }) => name === values.only);
const experiments = values.model.split(',').flatMap((model) =>
  values.task.split(',').flatMap((task) =>
    values.seeds.split(',').flatMap((seed) =>
      settings
        .filter(({ name }) => (exact ? name === values.only : name.includes(values.only)))
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

/** The page, and beside it a figure of each model and task. */
async function writePage(): Promise<void> {
  const docs = fileURLToPath(new URL('../../docs/', import.meta.url));
  const all = findings.read();
  const figures = new Map<string, string>();
  for (const model of Object.keys(models))
    for (const task of Object.keys(tasks)) {
      const name = `${model}-${task}`;
      const own = all.filter((found) => found.model === model && found.task === task);
      const drawn = await frontier(own, name);
      if (drawn === undefined) continue;
      figures.set(name, `study-${name}.svg`);
      writeFileSync(join(docs, `study-${name}.svg`), drawn);
    }
  const attacks = attacksKept.read();
  const curves = await curvesFigure(attacks);
  if (curves !== undefined) writeFileSync(join(docs, 'study-attacks.svg'), curves);
  writeFileSync(
    join(docs, 'study.md'),
    studyPage(all, figures, [
      ...curvesPart(attacks, 'study-attacks.svg'),
      ...autosPart(autosKept.read(), all),
    ]),
  );
}
