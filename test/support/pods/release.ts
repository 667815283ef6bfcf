import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtImages, installChart, smallRequests } from '../cluster/chart.ts';
import { fillClaims } from '../cluster/claims.ts';
import { type Cluster, startTestCluster } from '../cluster/node.ts';
import { images } from '../cluster/programs.ts';
import type { Manifest } from '../tiny/index.ts';
import { shortData } from './short-example.ts';

const examples = join(import.meta.dirname, '../../../examples/cluster');

/** Whether this machine can run a real node; says on standard error why not. */
export function canRunNode(): boolean {
  const can = process.platform === 'linux' && process.getuid?.() === 0;
  if (!can) console.error('real pods: skipped, they need root on Linux');
  return can;
}

/** A test cluster with the chart installed, and the short example's data. */
export class Release {
  readonly cluster: Cluster;
  /** Holds data/ and models/. */
  readonly directory: string;
  readonly #folders: Record<string, string>;

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
    this.directory = mkdtempSync(join(tmpdir(), 'offsite-pods-'));
    this.#folders = shortData(this.directory);
  }

  /** @param values of the chart, as `helm --set` takes them */
  static async install(values: readonly string[] = []): Promise<Release> {
    const release = new Release(await startTestCluster());
    try {
      for (const archive of images('operator', 'worker', 'nats')) release.cluster.importImage(archive);
      installChart(release.cluster.kubeconfig, [...builtImages, ...smallRequests, ...values]);
    } catch (error) {
      await release.remove();
      throw error;
    }
    return release;
  }

  /**
   * A new namespace with the quickstart's claims.
   * @param folders claim/path -> what comes there; the short example's model and data when absent; without any, no loader
   */
  async prepare(namespace: string, folders = this.#folders): Promise<void> {
    const loader = Object.keys(folders).length > 0 ? ['3-loader.yaml'] : [];
    for (const file of ['1-namespace.yaml', '2-claims.yaml', ...loader]) {
      const text = readFileSync(join(examples, file), 'utf8')
        .replaceAll('offsite-demo', namespace)
        .replaceAll('[ReadWriteOnce]', '[ReadWriteMany]'); // two probe pods write
      this.cluster.kubectl(['apply', '-f', '-'], text);
    }
    if (loader.length > 0) await fillClaims(this.cluster.kubeconfig, namespace, folders);
  }

  apply(namespace: string, manifests: readonly Manifest[]): void {
    const list = { apiVersion: 'v1', kind: 'List', items: manifests };
    this.cluster.kubectl(['apply', '-n', namespace, '-f', '-'], JSON.stringify(list));
  }

  async remove(): Promise<void> {
    await this.cluster.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
