/**
 * Checks who imports whom: the orders of folders that docs/architecture.md declares, index.ts as the only door of a folder of
 * src or operator, no circle of files, and a light operator.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/** What the operator may use of src: it talks to the Kubernetes API and computes nothing. */
const forOperator: ReadonlySet<string> = new Set(['api', 'progress', 'artifact']);

/** By folder, its sub-folders: each imports only those before it, and those that stand together not each other. */
export type Orders = ReadonlyMap<string, readonly (readonly string[])[]>;

export interface SourceFile {
  /** From the repository's root, with "/". */
  readonly path: string;
  readonly text: string;
}

/** Every forbidden import, one line each. */
export function violationsOf(files: readonly SourceFile[], orders: Orders): string[] {
  const imports = new Map(files.map(({ path, text }) => [path, importsOf(path, text)]));
  return [
    ...[...imports].flatMap(([path, targets]) =>
      targets.flatMap(({ specifier, target }) => {
        const problem =
          target === undefined ? problemOfPackage(path, specifier) : problemOf(path, target, orders);
        return problem ? [`${path}: imports ${specifier}: ${problem}`] : [];
      }),
    ),
    ...detours(imports, orders),
    ...circles(imports),
  ];
}

interface Import {
  readonly specifier: string;
  /** The file, where it is one of ours. */
  readonly target: string | undefined;
}

function importsOf(path: string, text: string): Import[] {
  const statements =
    /^\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;
  return [...text.matchAll(statements)].map(([, named, dynamic]) => {
    const specifier = (named ?? dynamic) as string;
    const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
    return { specifier, target };
  });
}

function problemOfPackage(path: string, specifier: string): string | undefined {
  const heavy = path.startsWith('operator/') && specifier.split('/')[0] === 'onnxruntime-node';
  return heavy ? 'the operator never loads onnxruntime-node' : undefined;
}

function problemOf(path: string, target: string, orders: Orders): string | undefined {
  const [top, targetTop] = [path, target].map((file) => file.split('/')[0]);
  if (top === 'operator' && targetTop === 'src') {
    const folder = target.split('/')[1] as string;
    if (!forOperator.has(folder)) return `the operator uses only ${[...forOperator].join(', ')} of src`;
    return problemOfDoor(`src/${folder}`, target);
  }
  if (top !== targetTop) return top === 'src' ? 'src imports nothing outside src' : undefined;
  const { shared, own, other } = partingOf(path, target);
  if (other === undefined) {
    return isTop(shared) && own !== undefined
      ? 'the files beside the folders use them, not the other way round'
      : undefined;
  }
  const order = orders.get(shared);
  if (order === undefined) return `docs/architecture.md gives no order of ${shared}'s folders`;
  const at = (folder: string) => order.findIndex((folders) => folders.includes(folder));
  for (const folder of own === undefined ? [other] : [own, other])
    if (at(folder) < 0) return `docs/architecture.md does not list ${shared}/${folder}`;
  if (own !== undefined && at(other) >= at(own))
    return `${shared}/${other} does not come before ${shared}/${own} in docs/architecture.md`;
  return isTop(shared) ? problemOfDoor(`${shared}/${other}`, target) : undefined;
}

const isTop = (folder: string) => !folder.includes('/');

const problemOfDoor = (folder: string, target: string) =>
  target === `${folder}/index.ts` ? undefined : `other folders import only ${folder}/index.ts`;

/** The folder that two files share, and the sub-folder of it that each of them is in. */
function partingOf(path: string, target: string) {
  const [from, to] = [path, target].map((file) => file.split('/').slice(0, -1)) as [string[], string[]];
  let depth = 0;
  while (depth < from.length && from[depth] === to[depth]) depth++;
  return { shared: from.slice(0, depth).join('/'), own: from[depth], other: to[depth] };
}

/** Files beside sub-folders may be used by them and use them, but no way through such files leads up. */
function detours(imports: ReadonlyMap<string, readonly Import[]>, orders: Orders): string[] {
  const found: string[] = [];
  for (const [path, targets] of imports) {
    for (const { specifier, target } of targets) {
      if (target === undefined) continue;
      const { shared, own, other } = partingOf(path, target);
      if (own === undefined || other !== undefined || isTop(shared) || shared === '') continue;
      for (const end of throughFilesBeside(target, shared, imports)) {
        const problem = problemOf(path, end, orders);
        const within = partingOf(path, end);
        if (problem && within.shared === shared)
          found.push(`${path}: imports ${specifier}, which imports ${end}: ${problem}`);
      }
    }
  }
  return found;
}

/** The files in sub-folders of `folder` to which a file beside them leads, through others beside them. */
function throughFilesBeside(
  start: string,
  folder: string,
  imports: ReadonlyMap<string, readonly Import[]>,
): string[] {
  const seen = new Set([start]);
  const ends = new Set<string>();
  for (const path of seen) {
    for (const { target } of imports.get(path) ?? []) {
      if (target === undefined || !target.startsWith(`${folder}/`)) continue;
      if (posix.dirname(target) === folder) seen.add(target);
      else ends.add(target);
    }
  }
  return [...ends];
}

/** Files that import each other, over however many others; each circle once. */
function circles(imports: ReadonlyMap<string, readonly Import[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`${path}: imports itself: ${[...trail.slice(at + 1), path].join(' > ')}`);
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const { target } of imports.get(path) ?? []) if (target !== undefined) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of imports.keys()) visit(path);
  return found;
}

/**
 * The orders as docs/architecture.md declares them: lines `FOLDER: NAME, NAME, {NAME, NAME}, NAME`, where those in braces stand
 * together.
 * @throws Error where there are none of src and operator
 */
export function ordersIn(architecture: string): Orders {
  const lines = architecture.matchAll(/^((?:src|operator)(?:\/[a-z-]+)*): ([a-z{][a-z,{} -]*)$/gm);
  const orders: Orders = new Map(
    [...lines].map(([, folder, list]) => [
      folder as string,
      [...(list as string).matchAll(/\{([^}]*)\}|[a-z-]+/g)].map(([name, together]) =>
        together === undefined ? [name] : together.split(/,\s*/),
      ),
    ]),
  );
  for (const folder of ['src', 'operator'])
    if (!orders.has(folder))
      throw new Error(`docs/architecture.md has no line "${folder}: ..." with the order of its folders`);
  return orders;
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const paths = globSync(['src/**/*.ts', 'operator/**/*.ts'], { cwd: root }).map((path) =>
    path.replaceAll('\\', '/'),
  );
  const violations = violationsOf(
    paths.sort().map((path) => ({ path, text: read(path) })),
    ordersIn(read('docs/architecture.md')),
  );
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
