/** Checks who imports whom: the folder orders of src and operator, index.ts as the only door, and a light operator. */
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** What the operator may use of src: it talks to the Kubernetes API and computes nothing. */
const forOperator: ReadonlySet<string> = new Set(['api', 'progress', 'artifact']);

/** The operator's folders; each imports only those before it, the kinds not each other. Files beside them use all. */
const inOperator: readonly (readonly string[])[] = [
  ['runtime'],
  ['progress'],
  ['jobs'],
  ['emulator-build', 'offsite-tune', 'plug-in'],
];

export interface SourceFile {
  /** From the repository's root, with "/". */
  readonly path: string;
  readonly text: string;
}

/** Every forbidden import, one line each. `order` lists the folders of src, each allowed to import those before it. */
export function violationsOf(files: readonly SourceFile[], order: readonly string[]): string[] {
  return files.flatMap(({ path, text }) =>
    importsOf(text).flatMap((specifier) => {
      const problem = problemOf(path, specifier, order);
      return problem ? [`${path}: imports ${specifier}: ${problem}`] : [];
    }),
  );
}

function importsOf(text: string): string[] {
  const statements =
    /^\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;
  return [...text.matchAll(statements)].map(([, named, dynamic]) => (named ?? dynamic) as string);
}

function problemOf(path: string, specifier: string, order: readonly string[]): string | undefined {
  const [top, folder] = path.split('/');
  if (!specifier.startsWith('.')) {
    const heavy = top === 'operator' && specifier.split('/')[0] === 'onnxruntime-node';
    return heavy ? 'the operator never loads onnxruntime-node' : undefined;
  }
  const target = posix.join(posix.dirname(path), specifier);
  const [targetTop, targetFolder] = target.split('/');
  if (top === 'operator' && targetTop === 'operator') return problemInOperator(path, target);
  if (targetTop !== 'src') {
    return top === 'src' ? 'src imports nothing outside src' : undefined;
  }
  if (top === 'operator') {
    if (!forOperator.has(targetFolder as string))
      return `the operator uses only ${[...forOperator].join(', ')} of src`;
  } else if (targetFolder === folder) {
    return undefined;
  } else {
    const at = order.indexOf(folder as string);
    const targetAt = order.indexOf(targetFolder as string);
    if (at < 0) return `docs/architecture.md does not list src/${folder}`;
    if (targetAt < 0) return `docs/architecture.md does not list src/${targetFolder}`;
    if (targetAt > at) return `${targetFolder} comes after ${folder} in docs/architecture.md`;
  }
  const door = `src/${targetFolder}/index.ts`;
  return target === door ? undefined : `other folders import only ${door}`;
}

function problemInOperator(path: string, target: string): string | undefined {
  const folderOf = (file: string) => (file.split('/').length > 2 ? file.split('/')[1] : undefined);
  const [folder, targetFolder] = [folderOf(path), folderOf(target)];
  if (folder === targetFolder) return undefined;
  if (targetFolder === undefined) return 'the files beside the folders use them, not the other way round';
  const placeOf = (name: string) => inOperator.findIndex((names) => names.includes(name));
  if (folder !== undefined && placeOf(targetFolder) >= placeOf(folder)) {
    return `operator/${targetFolder} does not come before operator/${folder}`;
  }
  const door = `operator/${targetFolder}/index.ts`;
  return target === door ? undefined : `other folders import only ${door}`;
}

/** The folder order as docs/architecture.md writes it: one comma-separated list in backticks that starts with api. */
export function orderIn(architecture: string): string[] {
  const list = /`(api(?:,\s*[a-z]+)+)`/.exec(architecture)?.[1];
  if (!list) throw new Error('docs/architecture.md has no `api, ..., cli` list of folders');
  return list.split(/,\s*/);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const paths = globSync(['src/**/*.ts', 'operator/**/*.ts'], { cwd: root }).map((path) =>
    path.replaceAll('\\', '/'),
  );
  const violations = violationsOf(
    paths.sort().map((path) => ({ path, text: read(path) })),
    orderIn(read('docs/architecture.md')),
  );
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
