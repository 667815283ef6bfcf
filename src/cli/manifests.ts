// Manifests from files: read, checked against each other, and put in the order of their references.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Document, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml';
import {
  addressOf,
  allKinds,
  badSpec,
  isShared,
  kindsInWords,
  OffsiteError,
  parseResource,
  type Resource,
  referencesOf,
} from '../api/index.ts';
import { isRunDir, runFileOf } from '../report/index.ts';

/** A resource and the directory of the file it came from, against which its relative `file:` URIs are read. */
export interface LoadedResource {
  resource: Resource;
  file: string;
  base: string;
}

/**
 * Reads every resource of the given files and directories (their *.yaml, *.yml and *.json files, by name).
 * @throws OffsiteError BadSpec with every problem of every file, one a line.
 */
export function loadManifests(paths: readonly string[]): LoadedResource[] {
  if (paths.length === 0)
    throw badSpec('name a manifest or a directory of manifests: offsite run -f FILE_OR_DIR');
  const problems: string[] = [];
  const loaded: LoadedResource[] = [];
  for (const file of paths.flatMap(manifestFiles)) {
    const lineCounter = new LineCounter();
    // The parser would compare each key with each: a mapping of many takes it hours.
    const documents = parseAllDocuments(readText(file), { uniqueKeys: false, lineCounter });
    for (const [index, document] of documents.entries()) {
      const problem = document.errors[0]?.message.split('\n')[0] ?? repeatedKey(document, lineCounter);
      if (problem !== undefined) {
        problems.push(`${file}: not valid YAML: ${problem}`);
        continue;
      }
      try {
        // Throws for aliases that lead nowhere or multiply without end.
        const value: unknown = document.toJS();
        if (value === null || value === undefined) continue;
        loaded.push({
          resource: parseResource(value, `${file}, document ${index + 1}`),
          file,
          base: dirname(resolve(file)),
        });
      } catch (error) {
        const { message } = error as Error;
        problems.push(
          ...(error instanceof OffsiteError ? message.split('\n') : [`${file}: not valid YAML: ${message}`]),
        );
      }
    }
  }
  problems.push(...duplicates(loaded), ...sharedOutputs(loaded));
  if (problems.length > 0) throw badSpec(problems);
  if (loaded.length === 0) {
    throw badSpec(`no resource in ${paths.join(', ')}: it takes ${kindsInWords()} manifests`);
  }
  return loaded;
}

function repeatedKey(document: Document.Parsed, lines: LineCounter): string | undefined {
  let repeated: string | undefined;
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          repeated = `Map keys must be unique at line ${lines.linePos(key.range?.[0] ?? 0).line}`;
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return repeated;
}

/**
 * The resources in the order of their references: what is referred to comes first; else kind by kind, as the kinds are listed.
 * @throws OffsiteError BadSpec when a reference is in none of the files, or leads back to its own resource.
 */
export function inOrder(loaded: readonly LoadedResource[]): LoadedResource[] {
  const known = new Set(loaded.map(({ resource }) => key(resource)));
  const namespaces = new Map(
    loaded.map(({ resource }) => [`${resource.kind}/${resource.metadata.name}`, namespaceOf(resource)]),
  );
  const problems = loaded.flatMap(({ resource, file }) =>
    referencesOf(resource)
      .filter(({ kind, name }) => !known.has(key({ kind, metadata: { ...resource.metadata, name } })))
      .map(({ field, kind, name }) => {
        const other = namespaces.get(`${kind}/${name}`);
        const where =
          other === undefined
            ? 'in the given files'
            : `in namespace ${namespaceOf(resource)}, only in ${other}, and a reference stays in its namespace`;
        return (
          `${file}: ${resource.kind} ${resource.metadata.name}: ${field}.ref.name: there is no ${kind} "${name}" ${where}` +
          ` (add its manifest, or use uri and digest)`
        );
      }),
  );
  if (problems.length > 0) throw badSpec(problems);
  const kindsInOrder = allKinds();
  const waiting = [...loaded].sort(
    (a, b) => kindsInOrder.indexOf(a.resource.kind) - kindsInOrder.indexOf(b.resource.kind),
  );
  const ordered: LoadedResource[] = [];
  const placed = new Set<string>();
  while (waiting.length > 0) {
    const at = waiting.findIndex(({ resource }) => targetsOf(resource).every((target) => placed.has(target)));
    if (at < 0) throw badSpec(waiting.map(inCircle));
    const [next] = waiting.splice(at, 1) as [LoadedResource];
    ordered.push(next);
    placed.add(key(next.resource));
  }
  return ordered;
}

const inCircle = ({ resource, file }: LoadedResource): string =>
  `${file}: ${resource.kind} ${resource.metadata.name}: waits for itself, over what it refers to; no order makes it`;

/** The keys of what a resource refers to. */
const targetsOf = (resource: Resource): string[] =>
  referencesOf(resource).map(({ kind, name }) => key({ kind, metadata: { ...resource.metadata, name } }));

interface Named {
  kind: string;
  metadata: { name: string; namespace?: string | undefined };
}

/** Names one resource among those of a run. */
export const key = (resource: Named): string =>
  `${resource.kind}/${namespaceOf(resource)}/${resource.metadata.name}`;

const namespaceOf = ({ metadata }: Named): string => metadata.namespace ?? 'default';

function manifestFiles(path: string): string[] {
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch {
    throw badSpec(`-f ${path}: there is no such file or directory`);
  }
  if (!isDirectory) return [path];
  const note = isRunDir(path) ? basename(runFileOf(path)) : undefined;
  return readdirSync(path)
    .filter((name) => /\.(ya?ml|json)$/.test(name) && name !== note)
    .sort()
    .map((name) => join(path, name));
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw badSpec(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** The work dir has one place for a kind and name, whatever the namespace. */
function duplicates(loaded: readonly LoadedResource[]): string[] {
  const first = new Map<string, LoadedResource>();
  const problems: string[] = [];
  for (const item of loaded) {
    const name = `${item.resource.kind} ${item.resource.metadata.name}`;
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, item);
    else if (key(earlier.resource) === key(item.resource))
      problems.push(`${item.file}: ${name}: stands in ${earlier.file} already`);
    else
      problems.push(
        `${item.file}: ${name}: has the same name as one of namespace ${namespaceOf(earlier.resource)} in ${earlier.file};` +
          ' rename one, or run each namespace by itself with its own --work-dir',
      );
  }
  return problems;
}

/** Two resources that write to one place, or one inside the other's, would replace each other's artifacts. */
function sharedOutputs(loaded: readonly LoadedResource[]): string[] {
  const taken: { place: string; uri: string; name: string }[] = [];
  const problems: string[] = [];
  for (const { resource, file, base } of loaded) {
    const { uri } = resource.spec.output;
    const place = placeOf(uri, base);
    const name = `${resource.kind} ${resource.metadata.name}`;
    const earlier = taken.find((other) => isShared(place, other.place));
    if (earlier === undefined) taken.push({ place, uri, name });
    else if (earlier.name !== name) {
      const where = earlier.place === place ? `${uri} too` : `${earlier.uri}, and one lies inside the other`;
      problems.push(
        `${file}: ${name}: spec.output.uri: ${earlier.name} writes to ${where}; give each its own place`,
      );
    }
  }
  return problems;
}

/** An address in one spelling. */
function placeOf(uri: string, base: string): string {
  const [, path] = /^file:(?:\/\/(?=\/))?(.*)$/.exec(uri) ?? [];
  return path === undefined ? addressOf(uri) : resolve(base, path);
}
