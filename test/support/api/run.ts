import { jobs, type KubeObject, pods, type ResourceType } from '../../../operator/runtime/index.ts';
import { type ApiServer, emulatorBuilds, eventually, offsiteTunes, plugIns } from './api-server.ts';
import type { Recorded } from './recorded.ts';

interface Resource extends KubeObject {
  status?: {
    phase?: string;
    specHash?: string;
    conditions?: { type: string; status: string; message: string }[];
  };
}

const all: readonly ResourceType[] = [emulatorBuilds, offsiteTunes, plugIns];

/** That it has waited once, and no longer does, is no part of what came out. */
const tells = ({ type, status }: { type: string; status: string }) =>
  type !== 'Waiting' || status !== 'False';

/** The three resources of one run in a namespace, as users would see them. */
export class Run {
  readonly server: ApiServer;
  readonly namespace: string;

  constructor(server: ApiServer, namespace: string) {
    this.server = server;
    this.namespace = namespace;
  }

  /** @param before told of the run's namespace before anything is in it */
  static async create(
    server: ApiServer,
    { manifests }: Recorded,
    before: (namespace: string) => void = () => {},
  ): Promise<Run> {
    const namespace = await server.namespace('run');
    before(namespace);
    const { build, tune, plug } = manifests;
    for (const [i, manifest] of [build, tune, plug].entries()) {
      const metadata = { ...manifest.metadata, namespace };
      await server.client.create<KubeObject>(
        all[i]!,
        { ...manifest, metadata },
        { fieldValidation: 'Strict' },
      );
    }
    return new Run(server, namespace);
  }

  async resources(): Promise<Resource[]> {
    const { client } = this.server;
    return await Promise.all(all.map((type) => client.get<Resource>(type, this.namespace, 'tiny')));
  }

  async jobs(): Promise<KubeObject[]> {
    const { items } = await this.server.client.list<KubeObject>(jobs, { namespace: this.namespace });
    return items.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  async pods(): Promise<KubeObject[]> {
    const { items } = await this.server.client.list<KubeObject>(pods, { namespace: this.namespace });
    return items;
  }

  /** Until all three are Complete. */
  async complete(limitMilliseconds = 60_000): Promise<void> {
    let last: Resource[] = [];
    try {
      await eventually(
        'the run is complete',
        async () => {
          last = await this.resources();
          return last.every(({ status }) => status?.phase === 'Complete');
        },
        limitMilliseconds,
      );
    } catch (error) {
      const told = last.map(({ kind, status }) => `${kind}: ${JSON.stringify(status?.conditions ?? status)}`);
      throw new Error(`${(error as Error).message}\n${told.join('\n')}`);
    }
  }

  /** Everything that two runs of the same resources must have in common: the same but for times and identities. */
  async endState(): Promise<object> {
    const resources = await this.resources();
    const state = {
      resources: resources.map(({ kind, metadata, spec, status }) => ({
        kind,
        generation: metadata.generation,
        finalizers: metadata.finalizers,
        spec,
        status: status && { ...status, conditions: status.conditions?.filter(tells) },
      })),
      jobs: (await this.jobs()).map(({ metadata, spec, status }) => ({
        name: metadata.name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        owners: metadata.ownerReferences,
        spec,
        status,
      })),
      pods: (await this.pods()).length,
    };
    return JSON.parse(this.#anonymous(JSON.stringify(state), resources)) as object;
  }

  #anonymous(text: string, resources: readonly Resource[]): string {
    const hashes = resources.map(
      ({ kind, status }) => [status?.specHash ?? 'none', `<${kind}'s hash>`] as const,
    );
    // A Job's name has its beginning alone.
    const named = hashes.reduce(
      (result, [hash, name]) => result.replaceAll(hash, name).replaceAll(hash.slice(0, 10), name),
      text,
    );
    return named
      .replaceAll(this.namespace, '<namespace>')
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uid>')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>');
  }
}
