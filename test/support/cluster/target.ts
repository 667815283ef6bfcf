import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster, removeCluster } from './node.ts';
import { images, setUp } from './programs.ts';

/** A cluster for the demo: one that is given, kind's, or our own. */
export interface Target {
  /** What a person calls it. */
  readonly name: string;
  readonly kubeconfig: string;
  /** Whether the release must run the images that loadImages brings, also for what is not ours. */
  readonly builtImages: boolean;
  /** Builds images and puts them onto the nodes. */
  loadImages(names: readonly string[]): void;
}

const directory = join(import.meta.dirname, '../../../.offsite/cluster');
const kindName = 'offsite-tuning';

/** The cluster that runs, or a new one: KUBECONFIG's, else kind's where Docker works, else our own. */
export async function startTarget(): Promise<Target> {
  const given = process.env['KUBECONFIG'];
  if (given) return givenCluster(given);
  return hasKind() ? startKind() : await startOwn();
}

/** Removes what startTarget has made; a given cluster stays as it is. */
export async function stopTarget(): Promise<void> {
  if (hasKind()) run('kind', ['delete', 'cluster', '--name', kindName]);
  await removeCluster(directory);
}

const givenCluster = (kubeconfig: string): Target => ({
  name: `the cluster of ${kubeconfig}`,
  kubeconfig,
  builtImages: false,
  // Its nodes pull: HELM_ARGS="--set imageRegistry=..." says from where.
  loadImages: () => {},
});

function startKind(): Target {
  const kubeconfig = join(directory, 'kind.kubeconfig');
  mkdirSync(directory, { recursive: true });
  const running = execFileSync('kind', ['get', 'clusters'], { encoding: 'utf8' })
    .split('\n')
    .includes(kindName);
  if (running) run('kind', ['export', 'kubeconfig', '--name', kindName, '--kubeconfig', kubeconfig]);
  else run('kind', ['create', 'cluster', '--name', kindName, '--kubeconfig', kubeconfig, '--wait', '120s']);
  return {
    name: "kind's",
    kubeconfig,
    builtImages: true,
    loadImages: (names) => {
      for (const archive of images(...names)) {
        run('kind', ['load', 'image-archive', archive, '--name', kindName]);
      }
    },
  };
}

async function startOwn(): Promise<Target> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('a cluster of our own needs root on Linux: give KUBECONFIG, or install Docker and kind');
  }
  setUp('node-packages.sh');
  let cluster = Cluster.running(directory);
  if (!cluster) {
    // What a crash or a reboot has left.
    if (existsSync(directory)) await removeCluster(directory);
    mkdirSync(directory, { recursive: true });
    try {
      cluster = await Cluster.start(directory);
    } catch (error) {
      await removeCluster(directory);
      throw error;
    }
  }
  const { kubeconfig } = cluster;
  return {
    name: 'our own',
    kubeconfig,
    builtImages: true,
    loadImages: (names) => {
      for (const archive of images(...names)) cluster.importImage(archive);
    },
  };
}

function hasKind(): boolean {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' });
    execFileSync('kind', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function run(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
}
