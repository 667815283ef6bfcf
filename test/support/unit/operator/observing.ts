import {
  type Caches,
  Notes,
  type ObserveOptions,
  observe,
  openCaches,
  Recent,
  type Situation,
} from '../../../../operator/jobs/index.ts';
import { rulesFor } from '../../../../operator/kinds.ts';
import {
  type ApiClient,
  type KubeObject,
  type ResourceType,
  RuntimeMetrics,
} from '../../../../operator/runtime/index.ts';
import type { Kind } from '../../../../src/api/index.ts';
import type { World } from './fixtures.ts';

/** Caches over an API server that lists these objects, by kind, and says nothing more. */
export async function cachesOf(objects: readonly KubeObject[], signal: AbortSignal): Promise<Caches> {
  const client = {
    list: async ({ kind }: ResourceType) => ({
      items: structuredClone(objects.filter((object) => object.kind === kind)),
      metadata: { resourceVersion: '1' },
    }),
    async *watch() {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
  } as unknown as ApiClient;
  const caches = openCaches(client, [], new RuntimeMetrics());
  const all = [...Object.values(caches.resources), caches.jobs, caches.pods];
  for (const cache of all) void cache.start(signal);
  await Promise.all(all.map(({ synced }) => synced));
  return caches;
}

const silent = { list: async () => ({ items: [], metadata: {} }) };

/** What the operator reads of a world, whose references it does not follow. */
export function observeWorld(
  world: World,
  { reports, client = {} }: { reports?: ObserveOptions['reports']; client?: object },
): Promise<Situation | undefined> {
  const kind = world.object.kind as Kind;
  const others = { get: () => undefined };
  const caches = {
    resources: {
      ...{ EmulatorBuild: others, OffsiteTune: others, PlugIn: others },
      [kind]: { get: () => world.object },
    },
    jobs: { byIndex: () => world.jobs },
    pods: { byIndex: () => world.pods },
  } as unknown as Caches;
  const asked = { ...silent, ...client } as unknown as ApiClient;
  return observe(rulesFor(kind), 'team/words', {
    ...{ client: asked, caches, reports, recent: new Recent(), notes: new Notes(asked) },
    connected: () => world.connected,
    heardMilliseconds: () => undefined,
    clock: () => world.now.getTime(),
  });
}
