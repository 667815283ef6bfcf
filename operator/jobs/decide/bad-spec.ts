/** Rulings about a spec that is not run: nothing runs until it is put right, or the installation allows it. */
import type { Problem, Resource } from '../../../src/api/index.ts';
import { installedTemplates } from '../build/job.ts';
import { isFinished, type Job } from '../objects.ts';
import { problemText } from '../spec/check.ts';
import { merge } from '../spec/template.ts';
import { powerProblems } from '../spec/template-powers.ts';
import type { Runnable } from './attempt.ts';
import type { Ruling } from './ruling.ts';

export const badSpec = (problems: readonly Problem[], jobs: readonly Job[]): Ruling => ({
  phase: 'Failed',
  statements: [{ type: 'Failed', reason: 'BadSpec', message: problemText(problems) }],
  remove: jobs.filter((job) => !isFinished(job)),
});

/** What its template asks for and the installation does not allow. */
export function forbidden<R extends Resource>({ resource, settings }: Runnable<R>): Problem[] {
  const installed = installedTemplates(resource, settings).reduce(merge, {});
  return powerProblems(resource.spec.template, installed, settings.allowInTemplates ?? []);
}
