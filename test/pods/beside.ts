/** Containers beside the worker, which a template or the cluster puts there: each run ends as one alone in its pod does. */
import { describe, expect, it } from 'vitest';
import type { OffsiteTuneStatus } from '../../src/api/index.ts';
import type { LiveResource } from '../support/cluster/resources.ts';
import { manyContainers, nodeContainer, patience, type TinyTune } from '../support/pods/tiny-tune.ts';

const runsOn = 'setInterval(() => {}, 1000)';
const fails = (code: number) => `console.error('no route'); process.exit(${code})`;

/** By name, what each run's spec has beside the rest. */
const runs: Record<string, { backoffLimit?: number; template: { spec: object } }> = {
  // A first process that hears no SIGTERM, as most do.
  lingers: {
    template: { spec: { terminationGracePeriodSeconds: 5, containers: [nodeContainer('proxy', runsOn)] } },
  },
  falls: { template: { spec: { containers: [nodeContainer('proxy', fails(3))] } } },
  native: {
    template: {
      spec: {
        terminationGracePeriodSeconds: 5,
        initContainers: [nodeContainer('proxy', runsOn, { restartPolicy: 'Always' })],
      },
    },
  },
  unprepared: { backoffLimit: 0, template: { spec: { initContainers: [nodeContainer('fetch', fails(4))] } } },
  prepared: { template: { spec: { initContainers: [nodeContainer('fetch', '0')] } } },
  many: { template: { spec: { containers: manyContainers } } },
};

/** Begins them all; what they come to is looked at when other tests have had their time. */
export const startBeside = (tune: TinyTune): void =>
  tune.apply(...Object.entries(runs).map(([name, spec]) => tune.named(name, spec)));

/** @param tuneOf gives the one with which they were started */
export function besideTests(tuneOf: () => TinyTune): void {
  describe('beside the worker', () => {
    it('a sidecar that runs on or fails, a native one, an init container that fails or does not, two dozen helpers', async () => {
      const tune = tuneOf();
      let ended: LiveResource[] = [];
      const phases = () => {
        ended = tune.resources().filter(({ metadata }) => metadata.name in runs);
        return ended.map(({ metadata, status }) => `${metadata.name} ${status?.phase}`).sort();
      };
      await expect
        .poll(phases, patience)
        .toEqual([
          'falls Complete',
          'lingers Complete',
          'many Complete',
          'native Complete',
          'prepared Complete',
          'unprepared Failed',
        ]);
      const of = (name: string) => ended.find(({ metadata }) => metadata.name === name)!;
      const message = (name: string) => conditionOf(of(name))?.message;
      const told = tune.kubectl([
        ...['get', 'events', '--field-selector=involvedObject.name=lingers'],
        '--output=jsonpath={.items[*].reason}',
      ]);
      expect(told.split(' ')).toContain('SidecarRunning');
      expect(message('lingers')).toMatch(/container proxy ran on and was ended: make it a native sidecar/);
      expect(message('falls')).toMatch(/container proxy ended with exit code 3: Error/);
      expect(message('unprepared')).toMatch(/init container fetch ended with exit code 4: Error/);
      for (const name of ['native', 'prepared', 'many']) expect(message(name)).toBe('every stage is done');
      for (const name of Object.keys(runs).filter((name) => name !== 'unprepared')) {
        const { attempt, artifact } = of(name).status as OffsiteTuneStatus;
        expect({ name, attempt, digest: artifact?.digest }).toEqual({
          name,
          attempt: 1,
          digest: tune.alone.status?.artifact?.digest,
        });
      }
      // The kubelet cut its last word, so that the result is what came over NATS.
      const lastWords = tune.kubectl([
        ...['get', 'pods', '--selector', 'offsite-tuning.dev/name=many'],
        '--output=jsonpath={.items[0].status.containerStatuses[?(@.name=="worker")].state.terminated.message}',
      ]);
      expect(lastWords).toMatch(/^{"ok":true,"artifact":{"digest":"sha256:/);
      expect(() => JSON.parse(lastWords)).toThrow();
      await expect
        .poll(() => tune.kubectl(['get', 'jobs', '--output=name']), patience)
        .not.toContain('lingers');
    });
  });
}

/** The one with which a resource has ended. */
const conditionOf = ({ status }: LiveResource) =>
  status?.conditions?.find(({ type, status: holds }) => holds === 'True' && type === status.phase);
