// The report's record from a cluster: related resources by kubectl, their small files from claims and stores.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  badSpec,
  group,
  kinds,
  kindsInWords,
  parseResource,
  type Resource,
  referencesOf,
} from '../api/index.ts';
import { confineTo, eachAtOnce, isThere, Mirror, type Mounts } from '../artifact/index.ts';
import { type FoundResource, gather } from './gather.ts';
import type { ReportRecord } from './record.ts';
import { bringFiles } from './stores.ts';

/** How long a store may take to give a resource's small files, and all stores together, in milliseconds. */
const patience = { each: 20_000, all: 60_000 };
/** So many resources' stores are asked at a time. */
const sideBySide = 16;

export interface ClusterOptions {
  readonly name: string;
  /** kubectl's own where absent: that of its current context. */
  readonly namespace?: string | undefined;
  /** Directories of claims that are at hand here, for the matrix and the loss history. */
  readonly claims: Record<string, string>;
}

/**
 * The record of the resources of one name in a namespace, and of those that they refer to or that refer to them,
 * read by kubectl with the user's own access. What lies in a store is read with the credentials of the environment.
 * @throws OffsiteError BadSpec where there is none, or kubectl cannot read them
 */
export async function gatherCluster({ name, claims, ...options }: ClusterOptions): Promise<ReportRecord> {
  const namespace = options.namespace ?? (await currentNamespace());
  const all = await list(namespace);
  const chosen = related(all, name);
  if (chosen.length === 0) {
    throw badSpec(
      `there is no ${kindsInWords()} "${name}" in namespace ${namespace}; \`kubectl get offsite -n ${namespace}\` lists them`,
    );
  }
  const scratch = mkdtempSync(join(tmpdir(), 'offsite-report-'));
  try {
    // Others write to a claim: a link in it may lead to anything of the reader's.
    confineTo(Object.values(claims).filter((directory) => isThere(directory)));
    const found: FoundResource[] = [];
    const late = AbortSignal.timeout(patience.all);
    await eachAtOnce([...chosen.entries()], sideBySide, async ([i, value]) => {
      // Of its own: another's copies of the same place may be on their way just now.
      const own = join(scratch, String(i));
      // No base: a resource of a cluster names no file of the reader's machine.
      const mounts: Mounts = { claims, scratch: own };
      const signal = AbortSignal.any([late, AbortSignal.timeout(patience.each)]);
      const where = `namespace ${namespace}`;
      const resource = parsed(value, where);
      const unreachable =
        resource && (await bringFiles(resource, mounts, new Mirror({ scratch: own, signal })));
      found[i] = { value, where, mounts, unreachable };
    });
    return gather(`namespace ${namespace}`, found);
  } finally {
    confineTo([]);
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Nobody is asked for what a resource that is wrong names: an output may lie in few stores, other addresses in any. */
function parsed(value: unknown, where: string): Resource | undefined {
  try {
    return parseResource(value, where);
  } catch {
    // Said where it is read.
    return undefined;
  }
}

/** What a cluster says of a resource; nothing of it is checked yet. */
interface WrittenResource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

async function list(namespace: string): Promise<WrittenResource[]> {
  const types = Object.values(kinds).map(({ names }) => `${names.plural}.${group}`);
  const args = ['get', types.join(','), '--namespace', namespace, '--output', 'json'];
  const said = await kubectl(args, `the resources of namespace ${namespace}`);
  return (JSON.parse(said) as { items: WrittenResource[] }).items;
}

/** As kubectl has it where it is told no namespace. */
async function currentNamespace(): Promise<string> {
  const path = 'jsonpath={.contexts[0].context.namespace}';
  const said = await kubectl(['config', 'view', '--minify', '--output', path], 'its current context');
  return said.trim() || 'default';
}

/** @param what is asked for, for messages */
async function kubectl(args: readonly string[], what: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('kubectl', args, { maxBuffer: 256 << 20 });
    return stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw badSpec('kubectl is not on PATH: a report of a cluster is read with it');
    }
    const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
    throw badSpec(`kubectl cannot read ${what}: ${said}`);
  }
}

/** The resources of that name with what they were made from and what was made from them, all the way. */
export function related<R extends WrittenResource>(all: readonly R[], name: string): R[] {
  const sources = new Map<R, R[]>(all.map((resource) => [resource, []]));
  const products = new Map<R, R[]>(all.map((resource) => [resource, []]));
  const byName = Map.groupBy(all, ({ kind, metadata }) => `${kind}/${metadata.name}`);
  for (const resource of all) {
    const names = new Set(referencesOf(resource).map(({ kind, name }) => `${kind}/${name}`));
    for (const source of [...names].flatMap((named) => byName.get(named) ?? [])) {
      sources.get(resource)?.push(source);
      products.get(source)?.push(resource);
    }
  }
  const chosen = new Set(all.filter(({ metadata }) => metadata.name === name));
  for (const next of [products, sources])
    for (const resource of chosen) for (const other of next.get(resource) ?? []) chosen.add(other);
  return all.filter((resource) => chosen.has(resource));
}
