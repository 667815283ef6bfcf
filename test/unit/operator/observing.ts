import {
  type Caches,
  Notes,
  type Observed,
  type ObserveOptions,
  Recent,
} from '../../../operator/jobs/index.ts';
import { behaviours } from '../../../operator/operator.ts';
import type { ApiClient } from '../../../operator/runtime/index.ts';
import type { Kind } from '../../../src/api/index.ts';
import type { World } from './fixtures.ts';

const silent = { list: async () => ({ items: [], metadata: {} }) };

/** What the operator reads of a world, whose references it does not follow. */
export function observeWorld(
  world: World,
  { reports, client = {} }: { reports?: ObserveOptions['reports']; client?: object },
): Promise<Observed | undefined> {
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
  return behaviours[kind].observe('team/words', {
    ...{ client: asked, caches, reports, recent: new Recent(), notes: new Notes(asked) },
    connected: () => world.connected,
    heardMilliseconds: () => undefined,
    clock: () => world.now.getTime(),
  });
}
