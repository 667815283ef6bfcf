import { join } from 'node:path';
import { badData, badModel, badSpec, type OffsiteError } from '../api/index.ts';
import {
  checkWritable,
  liesBeside,
  overlap,
  realPlace,
  resolveUri,
  type WorkPlaces,
  workPlacesOf,
} from '../artifact/index.ts';
import type { ArtifactReference, StageJob } from './job.ts';

/** A place that a stage reads, as the spec names it. */
export interface Input {
  uri: string;
  field: string;
  path: string;
  /** What it is when nothing lies there. */
  missing: (message: string) => OffsiteError;
}

type Named = Pick<ArtifactReference, 'uri' | 'secretRef'>;

/** The path on this machine of something that a spec names. @throws OffsiteError BadSpec naming the field */
export function pathOf({ mounts }: StageJob, { uri, secretRef }: Named, field: string): string {
  return resolveUri(uri, mounts, field, secretRef?.name);
}

/** The path and digest of an artifact that a stage needs. @throws OffsiteError BadSpec where the job names none */
export function artifactOf(job: StageJob, which: 'emulator' | 'adapter') {
  const field = `spec.${which}`;
  const reference = job[which];
  if (reference === undefined) throw badSpec(`${field}: names no artifact`);
  return { directory: pathOf(job, reference, field), digest: reference.digest };
}

/** Every place that a stage reads. @throws OffsiteError BadSpec */
export function inputsOf(job: StageJob): Input[] {
  const { resource, emulator, adapter } = job;
  const named: [field: string, source: Named | undefined, Input['missing']][] = [];
  if (resource.kind !== 'OffsiteTune') named.push(['spec.model.uri', resource.spec.model, badModel]);
  if (resource.kind === 'EmulatorBuild')
    named.push(['spec.probe.data.uri', resource.spec.probe.data, badData]);
  else named.push(['spec.emulator', emulator, badModel]);
  if (resource.kind === 'OffsiteTune') {
    const { data } = resource.spec;
    named.push(['spec.data.uri', data, badData], ['spec.data.validation.uri', data.validation, badData]);
  }
  if (resource.kind === 'PlugIn') {
    named.push(['spec.adapter', adapter, badModel]);
    for (const [i, { data }] of (resource.spec.evaluation?.tasks ?? []).entries())
      named.push([`spec.evaluation.tasks[${i}].data.uri`, data, badData]);
  }
  return named.flatMap(([field, source, missing]) =>
    source === undefined ? [] : [{ uri: source.uri, field, path: pathOf(job, source, field), missing }],
  );
}

/**
 * Neither the output and what lies beside it nor the work place may be, hold or lie in anything that the stage reads, by
 * whatever links it is named.
 * @throws OffsiteError BadSpec
 */
export function checkPlaces(job: StageJob): void {
  const output = realPlace(outputOf(job), 'spec.output.uri');
  const { own, shared } = workOf(job);
  const work = [own, shared].map((path) => realPlace(path, 'spec.work.uri'));
  if (work.some((path) => overlap(path, output)))
    throw badSpec(
      `spec.output.uri: must lie outside of the work place; choose another, or name one in spec.work.uri`,
    );
  for (const { field, path } of inputsOf(job)) {
    const input = realPlace(path, field);
    if (overlap(input, output))
      throw badSpec(`spec.output.uri: must lie outside of ${field} (${path}); choose another place`);
    if (liesBeside(output, input))
      throw badSpec(
        `${field}: ${path} is a name that is kept for what lies beside spec.output.uri; choose another`,
      );
    if (work.some((place) => overlap(place, input)))
      throw badSpec(
        `spec.work.uri: ${field} (${path}) and the work place must lie outside of each other; name another`,
      );
  }
  checkWritable(output, 'spec.output.uri');
}

/** What the spec says of a path: the field that names it, or something above it, and whose fault a wrong thing there is. */
export function fieldOf(job: StageJob, path: string): { field: string; wrong: Input['missing'] } | undefined {
  const output: Input = {
    ...job.resource.spec.output,
    field: 'spec.output.uri',
    path: outputOf(job),
    missing: badSpec,
  };
  const { own, shared } = workOf(job);
  const work = [own, shared].map((place) => ({ ...output, field: 'spec.work.uri', path: place }));
  const [found] = [...inputsOf(job), output, ...work]
    // What is made lies beside the output until it is whole.
    .filter(
      (place) =>
        path === place.path ||
        path.startsWith(join(place.path, '/')) ||
        (place === output && liesBeside(place.path, path)),
    )
    .sort((a, b) => b.path.length - a.path.length);
  return found && { field: found.field, wrong: path === found.path ? badSpec : found.missing };
}

/** Where the resource's artifact goes. */
export const outputOf = (job: StageJob): string => pathOf(job, job.resource.spec.output, 'spec.output.uri');

/** Where everything else of it goes. */
export const workOf = ({ resource, mounts }: StageJob): WorkPlaces => workPlacesOf(resource, mounts);
