import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlPlane } from './control-plane.ts';
import { closeEnclosure, Enclosure } from './enclosure.ts';
import { kubectl } from './kubectl.ts';
import { claim, removeLeftovers } from './leftovers.ts';
import {
  containerdConfiguration,
  containerdSocket,
  dnsConfiguration,
  dnsReadyPort,
  kubeletConfiguration,
  kubeProxyConfiguration,
  nodeName,
  podNetwork,
} from './node-configuration.ts';
import { allRun, type Processes } from './processes.ts';
import { coredns, images, kubernetesPrograms, setUp } from './programs.ts';
import { prepareVolumes } from './volumes.ts';

/** What every process may do with a cluster. */
export interface RunningCluster {
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string;
  /** Puts an image archive (docker's or OCI's) onto the node. */
  importImage(archive: string): void;
}

export type NodeProgram = 'containerd' | 'kubelet' | 'kube-proxy' | 'coredns';

/** A whole cluster on this machine, as root on Linux: control plane, and one node that runs containers. */
export class Cluster implements RunningCluster {
  readonly directory: string;
  readonly controlPlane: ControlPlane;
  readonly #enclosure: Enclosure;
  readonly #processes: Processes;

  private constructor(directory: string, enclosure: Enclosure, controlPlane: ControlPlane) {
    this.directory = directory;
    this.controlPlane = controlPlane;
    this.#enclosure = enclosure;
    this.#processes = controlPlane.processes;
  }

  /** A cluster that this or another process has started, if all of it still runs. */
  static running(directory: string): RunningCluster | undefined {
    const enclosure = Enclosure.running(directory);
    if (!enclosure || !allRun(directory)) return undefined;
    return {
      kubeconfig: join(directory, 'admin.kubeconfig'),
      importImage: (archive) => importImage(enclosure, archive),
    };
  }

  /** @param directory where everything of it lies, made new; the caller has cleaned up what was there */
  static async start(directory: string): Promise<Cluster> {
    const enclosure = await Enclosure.open(directory);
    const { address, enter } = enclosure;
    const controlPlane = await ControlPlane.prepare({
      controllerManager: true,
      scheduler: true,
      at: { address, enter, directory },
    });
    const cluster = new Cluster(directory, enclosure, controlPlane);
    await Promise.all([cluster.#startContainerd(), controlPlane.start()]);
    await Promise.all([cluster.#startNode(), prepareVolumes(cluster.kubeconfig, join(directory, 'volumes'))]);
    return cluster;
  }

  get kubeconfig(): string {
    return this.controlPlane.kubeconfig;
  }

  /** The address at which pods reach what listens there on this machine. */
  get outside(): string {
    return this.#enclosure.outside;
  }

  kubectl(args: readonly string[], input?: string): string {
    return kubectl(this.kubeconfig, args, input);
  }

  importImage(archive: string): void {
    importImage(this.#enclosure, archive);
  }

  /** Says on the node's status that it has so many of a resource, such as nvidia.com/gpu. */
  setCapacity(resource: string, count: number): void {
    const status = { capacity: { [resource]: String(count) }, allocatable: { [resource]: String(count) } };
    const patch = JSON.stringify({ status });
    this.kubectl(['patch', 'node', nodeName, '--subresource=status', '--type=merge', '--patch', patch]);
  }

  log(program: NodeProgram | 'kube-apiserver'): string {
    return this.#processes.log(program);
  }

  /** Ends one of the node's programs at once, as a crash would. */
  kill(program: NodeProgram): Promise<void> {
    return this.#processes.kill(program);
  }

  /** Ends everything and removes the directory. */
  stop(): Promise<void> {
    return removeCluster(this.directory);
  }

  async #startContainerd(): Promise<void> {
    mkdirSync(join(this.directory, 'cni'));
    this.#write('cni/pods.conflist', podNetwork());
    await this.#processes.start('containerd', 'containerd', [
      '--config',
      this.#write('containerd.toml', containerdConfiguration(this.#enclosure)),
    ]);
    await this.#until('containerd', () => ctr(this.#enclosure, 'version') !== '');
    this.importImage(images('pause')[0] as string);
  }

  async #startNode(): Promise<void> {
    const programs = kubernetesPrograms('kubelet', 'kube-proxy');
    const { authority } = this.controlPlane;
    const node = this.controlPlane.kubeconfigFor('kubelet', `system:node:${nodeName}`, ['system:nodes']);
    const proxy = this.controlPlane.kubeconfigFor('kube-proxy', 'system:kube-proxy');
    // CoreDNS reads Services, EndpointSlices, Pods and Namespaces; the administrator's certificate is at hand.
    const dns = dnsConfiguration(this.kubeconfig);
    const serving = authority.issue('kubelet-serving', nodeName, [], [nodeName, this.#enclosure.address]);
    const kubelet = kubeletConfiguration(this.#enclosure, { ...serving, authority: authority.own.cert });
    await this.#processes.start('kubelet', programs.kubelet, [
      `--config=${this.#write('kubelet.json', kubelet)}`,
      `--kubeconfig=${node}`,
      `--root-dir=${join(this.directory, 'kubelet')}`,
      `--hostname-override=${nodeName}`,
      `--node-ip=${this.#enclosure.address}`,
    ]);
    await this.#processes.start('kube-proxy', programs['kube-proxy'], [
      `--config=${this.#write('kube-proxy.json', kubeProxyConfiguration(proxy))}`,
    ]);
    await this.#processes.start('coredns', coredns(), ['-conf', this.#write('Corefile', dns)]);
    await this.#until('coredns', () => this.#dnsIsReady());
    await this.#until('kubelet', () => this.#nodeIsReady());
  }

  async #dnsIsReady(): Promise<boolean> {
    const { ok } = await fetch(`http://${this.#enclosure.address}:${dnsReadyPort}/ready`);
    return ok;
  }

  #nodeIsReady(): boolean {
    const path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    return this.kubectl(['get', 'node', nodeName, '--ignore-not-found', '-o', path]) === 'True';
  }

  async #until(
    program: NodeProgram,
    ready: () => boolean | Promise<boolean>,
    limitMs = 300_000,
  ): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!(await works(ready))) {
      const failure = this.#processes.failure(program);
      if (failure) throw new Error(failure);
      if (Date.now() > deadline)
        throw new Error(`${program} was not ready in ${limitMs / 1000} s: see ${this.log(program)}`);
      await sleep(200);
    }
  }

  #write(name: string, content: string | object): string {
    const path = join(this.directory, name);
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
    return path;
  }
}

/** A cluster for tests: it goes with the process that asked for it. */
export async function startTestCluster(): Promise<Cluster> {
  setUp('node-packages.sh');
  await removeLeftovers();
  const directory = mkdtempSync(join(tmpdir(), 'offsite-cluster-'));
  claim(directory);
  try {
    return await Cluster.start(directory);
  } catch (error) {
    await removeCluster(directory);
    throw error;
  }
}

/** Ends a cluster, whoever started it, and removes its directory. */
export async function removeCluster(directory: string): Promise<void> {
  await closeEnclosure(directory);
  rmSync(directory, { recursive: true, force: true });
}

function importImage(enclosure: Enclosure, archive: string): void {
  ctr(enclosure, 'images', 'import', archive);
}

const ctr = (enclosure: Enclosure, ...args: string[]) =>
  enclosure.run('ctr', ['--address', containerdSocket, '--namespace', 'k8s.io', ...args]);

async function works(ready: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await ready();
  } catch {
    return false;
  }
}
