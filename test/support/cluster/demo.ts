import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import type { EmulatorBuildStatus } from '../../../src/api/index.ts';
import { summary } from '../../../src/cli/summary.ts';
import { builtImages, installChart, smallRequests } from './chart.ts';
import { fillClaims } from './claims.ts';
import { kubectl } from './kubectl.ts';
import { LiveProgress, writeReport } from './live.ts';
import { conditionsText, isComplete, type LiveResource, untilEnded } from './resources.ts';
import type { Target } from './target.ts';
import { directoryOf } from './volumes.ts';

const root = join(import.meta.dirname, '../../..');
const namespace = 'offsite-demo';
const work = join(root, '.offsite/cluster-demo');
const limitMs = 60 * 60_000;

/** The quickstart on a cluster: chart, claims, the three manifests, and what came out. Throws if not all is well. */
export async function runDemo(target: Target): Promise<void> {
  const { kubeconfig } = target;
  const onCluster = (...args: string[]) => kubectl(kubeconfig, args).trim();
  const more = process.env['HELM_ARGS']?.split(' ') ?? [];

  say(`images onto ${target.name} cluster`);
  target.loadImages(['operator', 'worker', 'nats']);
  say('helm install');
  installChart(kubeconfig, target.builtImages ? [...builtImages, ...smallRequests] : [], more);
  say('namespace and claims; the model and the data go in');
  onCluster('apply', '-f', join(root, 'examples/cluster'));
  await fillClaims(kubeconfig, namespace, {
    'models/smollm2': join(root, '.offsite/models/smollm2'),
    'data/words': join(root, '.offsite/data/words'),
  });
  say('kubectl apply -f examples/quickstart');
  onCluster('apply', '-n', namespace, '-f', join(root, 'examples/quickstart'));

  const live = await LiveProgress.start(kubeconfig, namespace, work);
  // Nothing but NATS leads to status.progress.
  const heard = new Set<string>();
  const seen = ({ kind, status }: LiveResource) => status?.progress && heard.add(kind);
  const resources = await untilEnded(kubeconfig, namespace, { limitMs, seen }).finally(() => live.close());
  console.log(`\n${onCluster('get', 'offsite', '-n', namespace)}\n`);
  const incomplete = resources.filter((resource) => !isComplete(resource));
  if (incomplete.length > 0) throw new Error(incomplete.map(conditionsText).join('\n'));
  console.log(
    `${summary(resources.map((resource) => ({ resource, status: resource.status ?? {}, base: root })))}\n`,
  );

  const silent = resources.filter(({ kind }) => !heard.has(kind));
  if (silent.length > 0)
    throw new Error(`no progress came over NATS from ${silent.map(({ kind }) => kind).join(', ')}`);
  compareWithRun(resources);
  const file = join(work, 'report.html');
  writeReport(kubeconfig, { name: 'words', namespace, file, mounts: localClaims(kubeconfig) });
  const digests = resources.map(({ kind, status }) => `${artifactNames[kind]} ${status?.artifact?.digest}`);
  console.log(`${resources.length} Complete  ${digests.join('  ')}`);
}

const artifactNames = { EmulatorBuild: 'emulator', OffsiteTune: 'adapter', PlugIn: 'model' };

/** The cluster's plan and digests must be those of `offsite run` of the same manifests on this machine. */
function compareWithRun(resources: readonly LiveResource[]): void {
  for (const { kind, metadata, status } of resources) {
    const file = join(root, '.offsite/quickstart', kind.toLowerCase(), metadata.name, 'resource.yaml');
    const run = existsSync(file) ? (parse(readFileSync(file, 'utf8')) as LiveResource) : undefined;
    if (run === undefined || !isComplete(run)) {
      console.log(`${kind}: not compared with offsite run, which has not run here (make quickstart)`);
      continue;
    }
    const plans = [status, run.status].map((one) => (one as EmulatorBuildStatus).plan);
    if (!isDeepStrictEqual(plans[0], plans[1])) throw new Error(`${kind}: another plan than offsite run's`);
    const [here, there] = [status?.artifact?.digest, run.status?.artifact?.digest];
    if (here !== there) throw new Error(`${kind}: ${here} here, ${there} by offsite run`);
    console.log(`${kind}: the same as by offsite run`);
  }
}

/** Claims that are directories of this machine; the report reads matrices and losses there. */
function localClaims(kubeconfig: string): Record<string, string> {
  const directory = directoryOf(kubeconfig, namespace, 'artifacts');
  return existsSync(directory) ? { artifacts: directory } : {};
}

function say(step: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${step}`);
}
