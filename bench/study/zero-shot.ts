// What a model answers untuned: node bench/study/zero-shot.ts MODEL ROWS.jsonl [LIMIT]
import { Engine } from '../../src/engine/index.ts';
import { holdingLatest, loadTask, measure } from '../../src/evaluation/index.ts';
import { Decoder, openModel, weightsOf } from '../../src/model/index.ts';

const [directory, path, limit = '1000000'] = process.argv.slice(2) as [string, string, string?];
const memory = 2 ** 30;
const engine = await Engine.create({ provider: 'cpu', threads: 2 });
const model = openModel(directory);
const task = await loadTask(model, engine, {
  ...{ name: path, path, format: 'multipleChoice' as const, limit: Number(limit) },
  ...{ maxLength: 512, memory },
});
const decoder = new Decoder(engine, model.architecture, holdingLatest(weightsOf(model, { memory: 0 })));
const { cell, loss } = await measure(decoder, task, { memory, stage: 'zero-shot', emit: () => {} });
const rights = task.examples.map(({ answer }) => answer!);
const most = Math.max(
  ...[...new Set(rights)].map((answer) => rights.filter((right) => right === answer).length),
);
console.log(
  `${path}: ${task.metric} ${cell.value.toFixed(4)} (standard error ${cell.stderr.toFixed(4)}), loss ${loss.toFixed(4)},` +
    ` ${rights.length} rows; the most frequent answer ${(most / rights.length).toFixed(4)}`,
);
model.close();
await engine.dispose();
