// The operator's part on one machine: resources run in order, references are resolved, each status is kept in a file.
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import {
  type ArtifactReference,
  artifactsOf,
  doneMessage,
  type Resource,
  referencesOf,
  type Status,
  setCondition,
  stagesOf,
} from '../api/index.ts';
import { type Lock, writeWholeAmongOthers } from '../artifact/index.ts';
import type { StageEvent } from '../progress/index.ts';
import { resourceFileOf } from '../report/index.ts';
import { type KeyPlace, runStage, type StageJob } from '../worker/index.ts';
import { key, type LoadedResource } from './manifests.ts';

/** A resource with the status that the operator would have written. */
export interface RunResource {
  resource: Resource & { metadata: { uid: string } };
  status: Status;
  /** The directory against which its relative file: URIs are read. */
  base: string;
}

/** Who listens to a run: bars, JSON lines, NATS, and the report at its end. */
export interface RunListener {
  event(resource: RunResource['resource'], event: StageEvent): void;
  finished(run: RunResource): void;
}

export interface RunOptions {
  workDir: string;
  claims: Record<string, string>;
  keyPlace: KeyPlace;
  listener: RunListener;
  signal: AbortSignal;
  /** Aborted just before the process ends whatever it is at: what runs is written down as stopped. */
  atOnce: AbortSignal;
  /** The work dir, which another run can take from one that gives no sign of life. */
  held: Lock;
}

/**
 * Runs resources, already in the order of their references, one after the other with the worker's own code.
 * A failed resource leaves those that wait for it Pending; the others still run.
 * @throws TakenOver where another run has the work dir by now, whose files stay as they are
 */
export async function runResources(
  loaded: readonly LoadedResource[],
  options: RunOptions,
): Promise<RunResource[]> {
  const { workDir, listener, atOnce, held } = options;
  const runs = new Map<string, RunResource>();
  atOnce.addEventListener('abort', () => {
    if (held.lost.aborted) return;
    for (const run of runs.values()) if (run.status.phase === 'Running') giveUp(run, workDir);
  });
  for (const item of loaded) {
    const run = start(item);
    runs.set(key(item.resource), run);
    await runOne(run, item, runs, options);
    await held.check();
    save(run, workDir);
    listener.finished(run);
  }
  return [...runs.values()];
}

function giveUp(run: RunResource, workDir: string): void {
  const message = 'stopped at once; run the same command again to go on from what was saved before';
  settle(run.status, 'Failed', 'Failed', 'Cancelled', message);
  try {
    save(run, workDir);
  } catch (error) {
    console.error(`offsite: ${(error as Error).message}`);
  }
}

/** Where a run keeps what lies in stores while it works on it. */
export const storesOf = (workDir: string) => resolve(workDir, '.stores');

/** Where checkpoints, pooled states and the like lie, for resources that name no place of their own. */
export const workOf = (workDir: string) => resolve(workDir, 'work');

async function runOne(
  run: RunResource,
  { base }: LoadedResource,
  runs: ReadonlyMap<string, RunResource>,
  { workDir, claims, keyPlace, listener, signal, held }: RunOptions,
): Promise<void> {
  const { resource, status } = run;
  if (resource.spec.suspend) {
    settle(status, 'Suspended', 'Suspended', 'Suspended', 'spec.suspend is true: set it to false to run');
    return;
  }
  const waiting = missingReference(resource, runs);
  if (waiting !== undefined) {
    settle(status, 'Pending', 'Waiting', 'DependencyNotComplete', waiting);
    return;
  }
  status.phase = 'Running';
  status.startTime = new Date().toISOString();
  await held.check();
  save(run, workDir);

  const inputs = resolveReferences(resource, runs);
  for (const stage of stagesOf(resource.kind)) {
    const mounts = { claims, base, scratch: storesOf(workDir), work: workOf(workDir) };
    const job: StageJob = { stage, resource, mounts, inputs };
    const outcome = await runStage(
      job,
      (event) => listener.event(resource, event),
      AbortSignal.any([signal, held.lost]),
      { keyPlace },
    );
    Object.assign(status, outcome.status);
    if (!outcome.ok) {
      const message =
        outcome.reason === 'Cancelled'
          ? `${outcome.message}; run the same command again to go on`
          : `stage ${stage} (exit code ${outcome.exitCode}): ${outcome.message}`;
      settle(status, 'Failed', 'Failed', outcome.reason, message);
      return;
    }
  }
  settle(status, 'Complete', 'Complete', 'Complete', doneMessage(status));
}

function start({ resource, base }: LoadedResource): RunResource {
  const uid = resource.metadata.uid ?? localUid(key(resource));
  const generation = resource.metadata.generation ?? 1;
  return {
    resource: { ...resource, metadata: { ...resource.metadata, uid, generation } } as RunResource['resource'],
    status: { phase: 'Pending', observedGeneration: generation, conditions: [] } as Status,
    base,
  };
}

/** A name-based uid, so that a second run of the same manifests publishes under the same subjects. */
function localUid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

function settle(status: Status, phase: Status['phase'], type: string, reason: string, message: string): void {
  status.phase = phase;
  status.completionTime = new Date().toISOString();
  status.conditions = setCondition(status.conditions, {
    type,
    status: 'True',
    reason,
    message,
    observedGeneration: status.observedGeneration,
  });
}

function missingReference(resource: Resource, runs: ReadonlyMap<string, RunResource>): string | undefined {
  for (const { field, kind, name } of referencesOf(resource)) {
    const target = runs.get(key({ kind, metadata: { ...resource.metadata, name } }));
    if (target?.status.phase !== 'Complete') return `${field}.ref: waits for ${kind} ${name} to be Complete`;
  }
  return undefined;
}

/** By role: the artifacts that the resource refers to. */
function resolveReferences(
  resource: Resource,
  runs: ReadonlyMap<string, RunResource>,
): Record<string, ArtifactReference> {
  const resolved = artifactsOf(resource).map(({ role, kind, name, uri, digest }) => {
    if (name === undefined) return [role, { uri: uri as string, digest }] as const;
    const made = runs.get(key({ kind, metadata: { ...resource.metadata, name } })) as RunResource;
    return [role, artifactOf(made)] as const;
  });
  return Object.fromEntries(resolved);
}

function artifactOf({ status, base }: RunResource): ArtifactReference {
  const { uri, digest } = status.artifact as ArtifactReference;
  // Another file's relative URI is read from where that file lies.
  const relative = /^file:(?!\/)(.*)$/.exec(uri)?.[1];
  return { uri: relative === undefined ? uri : pathToFileURL(resolve(base, relative)).href, digest };
}

/** Writes the resource with its status, whole or not at all. */
function save({ resource, status }: RunResource, workDir: string): void {
  const file = resourceFileOf(workDir, resource);
  mkdirSync(dirname(file), { recursive: true });
  writeWholeAmongOthers(file, stringify({ ...resource, status }));
}
