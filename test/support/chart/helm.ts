import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const path = (relative: string) => fileURLToPath(new URL(`../../../${relative}`, import.meta.url));
export const chart = path('charts/offsite-tuning');

/** A rendered Kubernetes object. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: any kind's fields, read by tests of that kind
  [field: string]: any;
}

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

let binary: string | undefined;

/** Runs Helm, which is built on first use; `values` go in as a values file. */
export function helm(args: readonly string[], values?: object): Result {
  binary ??= execFileSync(path('scripts/setup/helm.sh'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
  const { status, stdout, stderr } = spawnSync(binary, [...args, ...(values ? ['--values', '-'] : [])], {
    input: JSON.stringify(values ?? {}),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  return { status: status ?? 1, stdout, stderr };
}

export const release = { name: 'offsite-tuning', namespace: 'offsite-system' };

/** What `helm template` says. */
export const template = (values: object = {}): Result =>
  helm(['template', release.name, chart, '--namespace', release.namespace], values);

/** All objects of the chart with these values. @throws with Helm's message */
export function render(values: object = {}): Manifest[] {
  const { status, stdout, stderr } = template(values);
  if (status !== 0) throw new Error(stderr);
  return manifestsIn(stdout);
}

export function manifestsIn(yaml: string): Manifest[] {
  return parseAllDocuments(yaml)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

export const ofKind = (manifests: readonly Manifest[], kind: string): Manifest[] =>
  manifests.filter((manifest) => manifest.kind === kind);

/** The one object of this kind and name. */
export function one(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = ofKind(manifests, kind).filter(
    ({ metadata }) => name === undefined || metadata.name === name,
  );
  if (found.length !== 1) throw new Error(`${found.length} objects ${kind} ${name ?? ''}`);
  return found[0]!;
}
