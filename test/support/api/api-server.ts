import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import {
  ApiClient,
  type ClientOptions,
  isAlreadyExists,
  type KubeObject,
  namespaces,
  type ResourceType,
} from '../../../operator/runtime/index.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../cluster/control-plane.ts';

const root = join(import.meta.dirname, '../../..');

export const definitions: ResourceType = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};

export const ours = (plural: string, kind: string): ResourceType => ({
  group: 'offsite-tuning.dev',
  version: 'v1alpha1',
  plural,
  kind,
  namespaced: true,
});
export const emulatorBuilds = ours('emulatorbuilds', 'EmulatorBuild');
export const offsiteTunes = ours('offsitetunes', 'OffsiteTune');
export const plugIns = ours('plugins', 'PlugIn');

/** A real API server with the project's CRDs in it, and its administrator's client. */
export class ApiServer {
  readonly plane: ControlPlane;
  readonly client: ApiClient;
  readonly #clients: ApiClient[] = [];
  #namespaces = 0;

  private constructor(plane: ControlPlane) {
    this.plane = plane;
    this.client = this.clientWith();
  }

  static async start(options: ControlPlaneOptions = {}): Promise<ApiServer> {
    const server = new ApiServer(await startControlPlane(options));
    await server.#installDefinitions();
    return server;
  }

  /** Another client, as the administrator or with a kubeconfig of its own; closed by `stop`. */
  clientWith(options: ClientOptions = {}, kubeconfig = this.plane.kubeconfig): ApiClient {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const client = new ApiClient(config, options);
    this.#clients.push(client);
    return client;
  }

  /** A new namespace's name. */
  async namespace(prefix = 'test'): Promise<string> {
    const name = `${prefix}-${++this.#namespaces}`;
    await this.client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    return name;
  }

  /** The API server's process stops answering; its connections stay open. */
  freeze(): void {
    process.kill(this.plane.processes.pid('kube-apiserver')!, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.plane.processes.pid('kube-apiserver')!, 'SIGCONT');
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.plane.stop();
  }

  async #installDefinitions(): Promise<void> {
    for (const file of globSync(join(root, 'crds/*.yaml'))) {
      const definition = parse(readFileSync(file, 'utf8')) as KubeObject;
      try {
        await this.client.create(definitions, definition);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    }
    for (const type of [emulatorBuilds, offsiteTunes, plugIns]) {
      await eventually(`${type.plural} are served`, () => this.client.list(type).then(() => true));
    }
  }
}

/** Asks until the answer is true; an error counts as no. @throws after a time, with the last error */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMilliseconds = 120_000,
): Promise<void> {
  const giveUpAt = performance.now() + limitMilliseconds;
  let last: unknown;
  while (performance.now() < giveUpAt) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    await sleep(50);
  }
  throw new Error(`waited ${limitMilliseconds / 1000} s in vain: ${what}`, { cause: last });
}
