// The paths of a stage: what it reads, where its output and work go, and that these do not overlap.
import { join } from 'node:path';
import {
  type ArtifactInput,
  type ArtifactReference,
  badData,
  badModel,
  badSpec,
  type Input,
  type OffsiteError,
  readsOf,
} from '../api/index.ts';
import {
  checkWritable,
  liesBeside,
  overlap,
  realPlace,
  resolveUri,
  type WorkPlaces,
  workPlacesOf,
} from '../artifact/index.ts';
import type { StageJob } from './job.ts';

/** A place that a stage reads, as the spec names it. */
export interface InputPlace {
  role: string;
  uri: string;
  field: string;
  path: string;
  /** What it must be. */
  digest?: string | undefined;
  /** Who must have signed it. */
  signer?: string | undefined;
  /** What it is when nothing lies there. */
  missing: (message: string) => OffsiteError;
}

/** Every place that a stage reads. @throws OffsiteError BadSpec naming the field */
export function inputsOf(job: StageJob): InputPlace[] {
  return readsOf(job.resource, job.stage).flatMap((input) => {
    const isArtifact = isArtifactInput(input);
    const { uri, digest, secret } = isArtifact ? resolved(job.inputs[input.role]) : input;
    if (uri === undefined) return [];
    const field = isArtifact ? input.field : `${input.field}.uri`;
    const path = resolveUri(uri, job.mounts, field, secret);
    const missing = input.is === 'rows' ? badData : badModel;
    const signer = isArtifact ? input.signer : undefined;
    return [{ role: input.role, uri, field, path, digest, signer, missing }];
  });
}

const isArtifactInput = (input: Input): input is ArtifactInput => input.is === 'artifact';

const resolved = (reference: ArtifactReference | undefined) => ({
  ...{ uri: reference?.uri, digest: reference?.digest },
  secret: reference?.secretRef?.name,
});

/** The paths on this machine of what a stage reads in one role. @throws OffsiteError BadSpec naming the field */
export const pathsOf = (job: StageJob, role: string): string[] =>
  inputsOf(job).flatMap((input) => (input.role === role ? [input.path] : []));

/** The same of the one thing in that role. */
export const pathOf = (job: StageJob, role: string): string => inputOf(job, role).path;

/** The path and digest of an artifact that a stage needs. @throws OffsiteError BadSpec where the job names none */
export function artifactOf(job: StageJob, role: string) {
  const { path, digest } = inputOf(job, role);
  return { directory: path, digest };
}

function inputOf(job: StageJob, role: string): InputPlace {
  const found = inputsOf(job).find((input) => input.role === role);
  if (found === undefined) throw badSpec(`spec.${role}: names no artifact`);
  return found;
}

/**
 * Neither the output and what lies beside it nor the work place may be, hold or lie in anything that the stage reads, by
 * whatever links it is named, and whatever Secrets open it.
 * @param comparable of paths that are one place the same one
 * @throws OffsiteError BadSpec
 */
export function checkPlaces(job: StageJob, comparable: (path: string) => string = (path) => path): void {
  const placeOf = (path: string, field: string) => realPlace(comparable(path), field);
  const output = placeOf(outputOf(job), 'spec.output.uri');
  const { own, shared } = workOf(job);
  const work = [own, shared].map((path) => placeOf(path, 'spec.work.uri'));
  if (work.some((path) => overlap(path, output)))
    throw badSpec(
      `spec.output.uri: must lie outside of the work place; choose another, or name one in spec.work.uri`,
    );
  for (const { field, path } of inputsOf(job)) {
    const input = placeOf(path, field);
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
  checkWritable(realPlace(outputOf(job), 'spec.output.uri'), 'spec.output.uri');
}

/** What the spec says of a path: the field that names it, or something above it, and whose fault a wrong thing there is. */
export function fieldOf(
  job: StageJob,
  path: string,
): { field: string; wrong: InputPlace['missing'] } | undefined {
  const output: Omit<InputPlace, 'role'> = {
    uri: job.resource.spec.output.uri,
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
export function outputOf({ resource, mounts }: StageJob): string {
  const { uri, secretRef } = resource.spec.output;
  return resolveUri(uri, mounts, 'spec.output.uri', secretRef?.name);
}

/** Where everything else of it goes. */
export const workOf = ({ resource, mounts }: StageJob): WorkPlaces => workPlacesOf(resource, mounts);
