import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../api/index.ts';
import { realPlace } from '../artifact/index.ts';
import type { StageJob } from './job.ts';
import { inputsOf, outputOf, workOf } from './places.ts';

/**
 * In a pod, what a stage names on a claim lies on that claim, whatever symbolic links are on the way and in it: who may write
 * to a claim that is shared must not make a pod read another one, or write to it. On a machine of one's own, links are one's
 * own.
 * @throws OffsiteError BadSpec naming the field and the link
 */
export function checkConfined(job: StageJob): void {
  const { claims, confined } = job.mounts;
  if (!confined) return;
  const { own, shared } = workOf(job);
  const named = [
    ...inputsOf(job),
    { field: 'spec.output.uri', path: outputOf(job) },
    ...[own, shared].map((path) => ({ field: 'spec.work.uri', path })),
  ];
  for (const { field, path } of named) {
    const claim = Object.values(claims).find((directory) => isWithin(path, directory));
    if (claim !== undefined) checkLinks(path, realPlace(claim, field), field, new Set());
  }
}

/** Looks at a path and, where it is a directory, at all that lies in it. */
function checkLinks(path: string, root: string, field: string, seen: Set<string>): void {
  const real = realPlace(path, field);
  if (!isWithin(real, root))
    throw badSpec(
      `${field}: a symbolic link leads from ${path} out of its claim; put there what it leads to`,
    );
  if (seen.has(real) || !statSync(real, { throwIfNoEntry: false })?.isDirectory()) return;
  seen.add(real);
  for (const name of readdirSync(real)) checkLinks(join(path, name), root, field, seen);
}

const isWithin = (path: string, directory: string) =>
  path === directory || path.startsWith(join(directory, '/'));
