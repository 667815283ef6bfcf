import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LiveResource, offsiteResources } from '../cluster/resources.ts';
import { familyManifests, type Manifest, writeTinyData, writeTinyFamily } from '../tiny/index.ts';
import { runLocally } from './local-run.ts';
import type { Release } from './release.ts';

const family = 'gpt2';
/** How long one waits for a pod or two, each look being a process. */
export const patience = { timeout: 300_000, interval: 1000 };
/** Takes longer than any test, and leaves processors for the others. */
const endless = { steps: 1_000_000, evalSteps: 1_000_000, checkpointSteps: 1_000_000 };

/** An OffsiteTune of seconds in a namespace of its own, with an emulator that is there, and what it makes here. */
export class TinyTune {
  readonly release: Release;
  readonly #namespace: string;
  readonly #tune: Manifest;
  /** The same run of `offsite run`, without a cluster. */
  readonly alone: LiveResource;

  private constructor(release: Release, namespace: string, tune: Manifest, alone: LiveResource) {
    this.release = release;
    this.#namespace = namespace;
    this.#tune = tune;
    this.alone = alone;
  }

  static async prepare(release: Release, namespace: string): Promise<TinyTune> {
    const directory = mkdtempSync(join(tmpdir(), 'offsite-tiny-tune-'));
    try {
      writeTinyData(join(directory, 'data'));
      writeTinyFamily(join(directory, 'models', family), family);
      const [build, tune] = familyManifests(family, uriOf) as [Manifest, Manifest];
      const [built, alone] = (await runLocally(directory, [build, tune])) as [LiveResource, LiveResource];
      await release.prepare(namespace, {
        data: join(directory, 'data'),
        'artifacts/emulator': join(directory, 'artifacts/emulator'),
      });
      const emulator = { uri: uriOf('out/emulator'), digest: built.status?.artifact?.digest };
      return new TinyTune(release, namespace, { ...tune, spec: { ...tune.spec, emulator } }, alone);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  /** It, in another name and with an output of its own. */
  named(name: string, spec: object = {}): Manifest {
    const output = { uri: uriOf(`out/${name}`) };
    return {
      ...this.#tune,
      metadata: { ...this.#tune.metadata, name },
      spec: { ...this.#tune.spec, ...spec, output },
    };
  }

  /**
   * The same, and it runs until it is ended.
   * @param worker more of its container
   */
  endless(name: string, worker: object = {}): Manifest {
    const training = { ...(this.#tune.spec['training'] as object), ...endless };
    const container = { name: 'worker', resources: { limits: { cpu: '300m' } }, ...worker };
    return this.named(name, { training, template: { spec: { containers: [container] } } });
  }

  kubectl(args: readonly string[], input?: string): string {
    return this.release.cluster.kubectl(['--namespace', this.#namespace, ...args], input);
  }

  apply(...manifests: Manifest[]): void {
    this.release.apply(this.#namespace, manifests);
  }

  /** All there are. */
  resources(): LiveResource[] {
    return offsiteResources(this.release.cluster.kubeconfig, this.#namespace);
  }

  /** The names of a resource's pods whose containers run. */
  running(name: string): string[] {
    const its = ['--selector', `offsite-tuning.dev/name=${name}`, '--field-selector=status.phase=Running'];
    return this.kubectl(['get', 'pods', ...its, '--output=jsonpath={.items[*].metadata.name}'])
      .split(' ')
      .filter(Boolean);
  }
}

/** The worker's image, which is on the node and has Node. */
export const workerImage = 'offsite-worker:0.1.0';

/** A container beside the worker, as Pod Security `restricted` asks, that runs a script in Node. */
export const nodeContainer = (name: string, script: string, more: object = {}) => ({
  ...{ name, image: workerImage, imagePullPolicy: 'Never', command: ['node', '-e', script] },
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  ...more,
});

/** So many that of the 12 KiB that a pod's containers share for their last words less than 500 bytes are the worker's. */
export const manyContainers = Array.from({ length: 24 }, (_, i) => nodeContainer(`helper-${i}`, '0'));

function uriOf(place: string): string {
  if (place === 'model') return `pvc://models/${family}`;
  return place.startsWith('data/') ? `pvc://${place}` : `pvc://artifacts/${place.slice('out/'.length)}`;
}
