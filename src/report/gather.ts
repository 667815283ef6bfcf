// The report's record from resources as they were found and from the files beside their artifacts.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  badModel,
  kinds,
  OffsiteError,
  parseResource,
  type Resource,
  referencesOf,
  type Status,
} from '../api/index.ts';
import {
  CheckedFiles,
  canonicalJson,
  checkpointsOf,
  type Manifest,
  type Mounts,
  peekManifest,
  resolveUri,
  withStoreUris,
  workPlacesOf,
} from '../artifact/index.ts';
import { readSimilarity, type SimilarityRecord, similarityFile } from '../emulator/index.ts';
import { type AnalysisRecord, analysisSchema, readAnalysis, summaryOf } from '../plugin/index.ts';
import { historyOf, type LossHistory, lossesOfRows, readHistory } from '../tuning/index.ts';
import {
  type AnyEntry,
  type BuildEntry,
  type Found,
  known,
  type PlugInEntry,
  type ReportRecord,
  type TuneEntry,
} from './record.ts';

/** A resource as it was found, with where its addresses lie on this machine. */
export interface FoundResource {
  /** As written, status included; nothing of it is trusted. */
  readonly value: unknown;
  /** Where it was found, for messages. */
  readonly where: string;
  readonly mounts: Mounts;
  /** Why its store does not answer, if so. */
  readonly unreachable?: string | undefined;
}

/**
 * Puts a record together: each resource is parsed again, and what lies beside its artifact is read where it can be reached.
 * What is missing or damaged is said in the record; nothing here throws for it.
 */
export function gather(name: string, found: readonly FoundResource[]): ReportRecord {
  const entries: AnyEntry[] = [];
  const unreadable: string[] = [];
  for (const { value, where, ...place } of found) {
    try {
      const resource = parseResource(value, where);
      const entry = entryOf(resource, statusOf(resource, value, where), place);
      if (entry !== undefined) entries.push(entry);
    } catch (error) {
      unreadable.push(...(error as Error).message.split('\n'));
    }
  }
  const inOrder = orderOf(entries);
  const of = <E extends AnyEntry>(kind: E['resource']['kind']) =>
    entries.filter((entry): entry is E => entry.resource.kind === kind).sort(inOrder);
  return {
    place: name,
    builds: of<BuildEntry>('EmulatorBuild'),
    tunes: of<TuneEntry>('OffsiteTune'),
    plugIns: of<PlugInEntry>('PlugIn'),
    unreadable,
  };
}

/** What is made of others stands behind them, so that rounds follow each other; else by name. */
function orderOf(entries: readonly AnyEntry[]): (a: AnyEntry, b: AnyEntry) => number {
  const keyOf = (kind: string, namespace: string | undefined, name: string) =>
    [kind, namespace ?? '', name].join('/');
  const found = new Map(
    entries.map(({ resource }) => [
      keyOf(resource.kind, resource.metadata.namespace, resource.metadata.name),
      resource,
    ]),
  );
  /** How many must be made one after the other. */
  const depths = new Map<Resource, number>();
  const depthOf = (resource: Resource): number => {
    const known = depths.get(resource);
    if (known !== undefined) return known;
    // Found again on the way where resources refer to each other in a ring.
    depths.set(resource, 0);
    const before = referencesOf(resource).map(({ kind, name }) => {
      const other = found.get(keyOf(kind, resource.metadata.namespace, name));
      return other === undefined ? 0 : depthOf(other);
    });
    const depth = 1 + Math.max(0, ...before);
    depths.set(resource, depth);
    return depth;
  };
  return (a, b) =>
    depthOf(a.resource) - depthOf(b.resource) ||
    (a.resource.metadata.name < b.resource.metadata.name ? -1 : 1);
}

function statusOf({ kind, metadata }: Resource, value: unknown, where: string): Status {
  const parsed = kinds[kind].status.safeParse((value as { status?: unknown }).status ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(
    `${where}: ${kind} ${metadata.name}: status.${issue?.path.join('.')}: ${issue?.message}; it was written by another version`,
  );
}

type Where = Pick<FoundResource, 'mounts' | 'unreachable'>;

/** Undefined for a kind that has no section in the report. */
function entryOf(resource: Resource, status: Status, place: Where): AnyEntry | undefined {
  const beside = <T>(read: (directory: string) => T | undefined, missing: string) =>
    readAt(resource.spec.output.uri, place, () => read(outputOf(resource, place)), missing);
  const fromWork = <T>(read: (directory: string) => T | undefined, missing: string) => {
    const { work, output } = resource.spec;
    const uri = (work ?? output).uri;
    return readAt(uri, place, () => firstOf(workDirectories(resource, place), read), missing);
  };
  const manifest: Found<Manifest> =
    status.artifact === undefined
      ? { absent: 'no artifact was made' }
      : beside((directory) => ownManifest(directory, status), 'another artifact lies there now, or none');
  switch (resource.kind) {
    case 'EmulatorBuild': {
      const similarity: Found<SimilarityRecord> =
        'absent' in manifest
          ? manifest
          : beside(
              (directory) => ownSimilarity(directory, manifest.value),
              'the bundle has no similarity.json',
            );
      return { resource, status, manifest, similarity };
    }
    case 'OffsiteTune': {
      const history = fromWork(
        (work) => ownHistory(work, status),
        status.phase === 'Complete'
          ? 'there is no loss history here; it stays where the training ran'
          : 'no checkpoint of the training was found',
      );
      return { resource, status, manifest, history };
    }
    case 'PlugIn': {
      const analysis: Found<AnalysisRecord> =
        resource.spec.analysis === undefined
          ? { absent: 'none was asked for' }
          : fromWork(
              (work) => ownAnalysis(known(manifest)?.scores?.['analysis'] ?? readAnalysis(work), status),
              'they are not finished, or lie where the evaluation ran',
            );
      return { resource, status, manifest, analysis };
    }
    default:
      return undefined;
  }
}

const outputOf = ({ spec: { output } }: Resource, { mounts }: Where): string =>
  resolveUri(output.uri, mounts, 'spec.output.uri', output.secretRef?.name);

/** Where a resource's work is looked for: in its place, and beside its output, where an earlier version left it. */
function workDirectories(resource: Resource, place: Where): string[] {
  const { own } = workPlacesOf(resource, place.mounts);
  return [own, `${outputOf(resource, place)}.checkpoints`];
}

function firstOf<T>(
  directories: readonly string[],
  read: (directory: string) => T | undefined,
): T | undefined {
  for (const directory of directories) {
    const value = read(directory);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Reads what lies at an address, or says why it cannot be. */
function readAt<T>(
  uri: string,
  { mounts, unreachable }: Where,
  read: () => T | undefined,
  missing: string,
): Found<T> {
  if (unreachable !== undefined) return { absent: unreachable };
  try {
    const value = read();
    return value === undefined ? { absent: missing } : { value };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!(error instanceof OffsiteError)) return { absent: `${uri} cannot be read (${code ?? message})` };
    if (error.reason === 'BadSpec') return { absent: `${uri} cannot be reached from here` };
    return { absent: withStoreUris(error.message, mounts.scratch) };
  }
}

/** The manifest that the status speaks of: another artifact may lie there since. */
function ownManifest(directory: string, { artifact }: Status): Manifest | undefined {
  const peeked = peekManifest(directory);
  return peeked?.digest === artifact?.digest ? peeked?.manifest : undefined;
}

/** The similarities that the manifest lists. @throws OffsiteError BadModel where others lie there */
function ownSimilarity(directory: string, { files: listed }: Manifest): SimilarityRecord | undefined {
  const own = listed.find(({ path }) => path === similarityFile);
  if (own === undefined) return undefined;
  const path = join(directory, similarityFile);
  const files = new CheckedFiles();
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined) throw badModel(`${path}: the manifest lists it, and it is not there`);
  if (there.size !== own.sizeBytes || files.digest(path) !== `sha256:${own.sha256}`)
    throw badModel(`${path}: is not the file that the manifest lists: it was changed`);
  return readSimilarity(directory, files);
}

/** The losses that the status speaks of; another training may have gone to the same place before. */
function ownHistory(work: string, status: TuneEntry['status']): LossHistory | undefined {
  const finished = status.phase === 'Complete';
  const files = { history: historyOf(work), checkpoints: checkpointsOf(work) };
  const history = readHistory(files, { finished });
  if (history === undefined || !finished) return history;
  const { steps, lastLoss } = status.training ?? {};
  return history.losses.length === steps && lossesOfRows(history.losses).at(-1)?.toFixed(4) === lastLoss
    ? history
    : undefined;
}

/** The analyses that the status speaks of in short. */
function ownAnalysis(found: unknown, { analysis }: PlugInEntry['status']): AnalysisRecord | undefined {
  const { data } = analysisSchema.safeParse(found);
  return data && canonicalJson(summaryOf(data)) === canonicalJson(analysis) ? data : undefined;
}
