import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Authority } from './certificates.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { claim, removeLeftovers } from './leftovers.ts';
import { freePorts } from './ports.ts';
import { Processes } from './processes.ts';
import { etcd, type KubernetesProgram, kubernetesPrograms } from './programs.ts';

export interface ControlPlaneOptions {
  /** Also kube-controller-manager: Jobs make pods, namespaces end, what an owner leaves is collected. */
  readonly controllerManager?: boolean;
  readonly scheduler?: boolean;
  /** More of kube-apiserver's flags. */
  readonly apiServerFlags?: readonly string[];
  /** More of kube-controller-manager's flags. */
  readonly controllerManagerFlags?: readonly string[];
  /** Where it runs, if not on loopback in a directory of its own: a node's network, and the command that enters it. */
  readonly at?: { readonly address: string; readonly enter: readonly string[]; readonly directory: string };
}

export const ranges = { pods: '10.244.0.0/16', services: '10.96.0.0/16' };
/** ClusterIP of `kubernetes.default`. */
const apiService = '10.96.0.1';

/** etcd and kube-apiserver, and what else is asked for, with free ports and keys of their own. Up in seconds. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  await removeLeftovers();
  const plane = await ControlPlane.prepare(options);
  try {
    await plane.start();
  } catch (error) {
    await plane.stop();
    throw error;
  }
  return plane;
}

export class ControlPlane {
  readonly directory: string;
  /** The API server's address. */
  readonly url: string;
  readonly authority: Authority;
  /** Path of the cluster administrator's kubeconfig. */
  readonly kubeconfig: string;
  readonly processes: Processes;
  readonly #options: ControlPlaneOptions;
  readonly #address: string;
  readonly #ports: readonly [api: number, etcd: number, peer: number, manager: number, scheduler: number];

  private constructor(options: ControlPlaneOptions, directory: string, ports: number[]) {
    this.directory = directory;
    this.#options = options;
    this.#address = options.at?.address ?? '127.0.0.1';
    this.#ports = ports as [number, number, number, number, number];
    this.url = `https://${this.#address}:${this.#ports[0]}`;
    mkdirSync(this.#in('pki'));
    this.authority = new Authority(this.#in('pki'));
    this.processes = new Processes(directory, options.at?.enter);
    this.kubeconfig = this.kubeconfigFor('admin', 'offsite-admin', ['system:masters']);
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(this.#in('pki/accounts.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(this.#in('pki/accounts.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  }

  /** Everything that it needs on disk; nothing runs yet. */
  static async prepare(options: ControlPlaneOptions): Promise<ControlPlane> {
    const directory = options.at?.directory ?? mkdtempSync(join(tmpdir(), 'offsite-cluster-'));
    if (!options.at) claim(directory);
    return new ControlPlane(options, directory, await freePorts(5));
  }

  async start(): Promise<void> {
    await this.#startEtcd();
    await this.#startApiServer();
    if (this.#options.scheduler) await this.#startScheduler();
    if (!this.#options.controllerManager) return;
    await this.#startControllerManager();
    const account = '/api/v1/namespaces/default/serviceaccounts/default';
    await this.#until('kube-controller-manager', () => this.#answers(account));
  }

  /** Ends the API server and starts it again with the same port and data; clients' connections and watches break. */
  async restart({ downMs = 0, crash = false } = {}): Promise<void> {
    await this.stopApiServer({ crash });
    await sleep(downMs);
    await this.#startApiServer();
  }

  async stopApiServer({ crash = false } = {}): Promise<void> {
    await (crash ? this.processes.kill('kube-apiserver') : this.processes.stop('kube-apiserver'));
  }

  /** Ends everything and removes the directory. Safe to call twice. */
  async stop(): Promise<void> {
    await this.processes.stopAll();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Path of a new kubeconfig; its client certificate names this user and these groups. */
  kubeconfigFor(name: string, user: string, groups: string[] = []): string {
    const path = this.#in(`${name}.kubeconfig`);
    writeKubeconfig(path, this.url, this.authority.own, this.authority.issue(name, user, groups));
    return path;
  }

  #startEtcd(): Promise<void> {
    const [client, peer] = this.#ports.slice(1, 3).map((port) => `http://127.0.0.1:${port}`);
    return this.processes.start('etcd', etcd(), [
      `--data-dir=${this.#in('etcd')}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
    ]);
  }

  async #startApiServer(): Promise<void> {
    const names = [
      'localhost',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
    ];
    const hosts = [...names, '127.0.0.1', apiService, this.#address];
    const serving = this.authority.issue('apiserver', 'kube-apiserver', [], hosts);
    const toKubelet = this.authority.issue('apiserver-kubelet', 'kube-apiserver', ['system:masters']);
    await this.#start('kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${this.#ports[1]}`,
      `--bind-address=${this.#address}`,
      `--secure-port=${this.#ports[0]}`,
      `--client-ca-file=${this.authority.own.cert}`,
      `--tls-cert-file=${serving.cert}`,
      `--tls-private-key-file=${serving.key}`,
      `--service-cluster-ip-range=${ranges.services}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-key-file=${this.#in('pki/accounts.pub')}`,
      `--service-account-signing-key-file=${this.#in('pki/accounts.key')}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged',
      `--kubelet-client-certificate=${toKubelet.cert}`,
      `--kubelet-client-key=${toKubelet.key}`,
      '--kubelet-preferred-address-types=InternalIP',
      // Services cannot lead to loopback: without a node there is no endpoint to keep.
      ...(this.#options.at ? [`--advertise-address=${this.#address}`] : ['--endpoint-reconciler-type=none']),
      ...(this.#options.apiServerFlags ?? []),
    ]);
    await this.#until('kube-apiserver', () => this.#answers('/readyz'));
  }

  #startControllerManager(): Promise<void> {
    const kubeconfig = this.kubeconfigFor('controller-manager', 'system:kube-controller-manager');
    return this.#start('kube-controller-manager', [
      `--kubeconfig=${kubeconfig}`,
      `--root-ca-file=${this.authority.own.cert}`,
      `--service-account-private-key-file=${this.#in('pki/accounts.key')}`,
      '--use-service-account-credentials',
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${this.#ports[3]}`,
      `--cluster-signing-cert-file=${this.authority.own.cert}`,
      `--cluster-signing-key-file=${this.authority.own.key}`,
      ...(this.#options.controllerManagerFlags ?? []),
    ]);
  }

  #startScheduler(): Promise<void> {
    const kubeconfig = this.kubeconfigFor('scheduler', 'system:kube-scheduler');
    return this.#start('kube-scheduler', [
      `--kubeconfig=${kubeconfig}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${this.#ports[4]}`,
    ]);
  }

  #start(program: KubernetesProgram, args: string[]): Promise<void> {
    return this.processes.start(program, kubernetesPrograms(program)[program], args);
  }

  async #until(program: string, ready: () => Promise<boolean>, limitMs = 300_000): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!(await ready())) {
      const failure = this.processes.failure(program);
      if (failure) throw new Error(failure);
      if (Date.now() > deadline) throw new Error(`${program} was not ready in ${limitMs / 1000} s`);
      await sleep(100);
    }
  }

  /** Whether the API server answers a path with 200, asked as the administrator. */
  #answers(path: string): Promise<boolean> {
    const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((file) =>
      readFileSync(this.#in(`pki/${file}`)),
    );
    return new Promise((resolve) => {
      const request = get(
        `${this.url}${path}`,
        { ca, cert, key, agent: false, timeout: 2000 },
        (response) => {
          response.resume();
          resolve(response.statusCode === 200);
        },
      );
      request.on('error', () => resolve(false));
      request.on('timeout', () => request.destroy());
    });
  }

  #in(path: string): string {
    return join(this.directory, path);
  }
}
