import { join } from 'node:path';
import { badData, badModel, badSpec, type OffsiteError } from '../api/index.ts';
import { checkReplaceable, checkWritable, resolveUri } from '../artifact/index.ts';
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
 * The output must neither be, hold nor lie in anything that the stage reads, nor replace what is no artifact.
 * @throws OffsiteError BadSpec
 */
export function checkOutput(job: StageJob): void {
  const output = outputOf(job);
  for (const { field, path } of inputsOf(job)) {
    if (path === output || path.startsWith(join(output, '/')) || output.startsWith(join(path, '/')))
      throw badSpec(`spec.output.uri: must lie outside of ${field} (${path}); choose another place`);
  }
  checkReplaceable(output, 'spec.output.uri');
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
  const [found] = [...inputsOf(job), output]
    // What is made lies beside the output until it is whole.
    .filter(
      (place) =>
        path === place.path ||
        path.startsWith(join(place.path, '/')) ||
        (place === output && path.startsWith(`${place.path}.`)),
    )
    .sort((a, b) => b.path.length - a.path.length);
  return found && { field: found.field, wrong: path === found.path ? badSpec : found.missing };
}

/** Where the stage's artifact goes; the probe's lie beside it and are looked after by the probe itself. */
export const outputOf = (job: StageJob): string => pathOf(job, job.resource.spec.output, 'spec.output.uri');
