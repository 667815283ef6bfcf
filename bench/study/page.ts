// The study's page and its figures, out of what was kept alone.
import { curvesFigure, curvesPart } from './curves.ts';
import { attacksKept, autosKept, findings, looksKept } from './findings.ts';
import { autosPart } from './found.ts';
import { frontier } from './frontier.ts';
import { looksPart } from './looked.ts';
import { models, tasks } from './settings.ts';
import { studyPage } from './tables.ts';

/** What is to lie in docs, by the file's name: the page, a figure of each model and task, and the recovery curves. */
export async function studyFiles(): Promise<ReadonlyMap<string, string>> {
  const all = findings.read();
  const files = new Map<string, string>();
  const figures = new Map<string, string>();
  for (const model of Object.keys(models))
    for (const task of Object.keys(tasks)) {
      const name = `${model}-${task}`;
      const own = all.filter((found) => found.model === model && found.task === task);
      const drawn = await frontier(own, name);
      if (drawn === undefined) continue;
      figures.set(name, `study-${name}.svg`);
      files.set(`study-${name}.svg`, drawn);
    }
  const attacks = attacksKept.read();
  const curves = await curvesFigure(attacks);
  if (curves !== undefined) files.set('study-attacks.svg', curves);
  const more = [
    ...curvesPart(attacks, 'study-attacks.svg'),
    ...autosPart(autosKept.read(), all),
    ...looksPart(looksKept.read(), all),
  ];
  return files.set('study.md', studyPage(all, figures, more));
}
