/** A resource that is deleted and made again while a pod of the earlier one still works: never do two write to one place. */
import { describe, it } from 'vitest';
import type { OffsiteTuneStatus } from '../../src/api/index.ts';
import { patience, type TinyTune } from '../support/pods/tiny-tune.ts';
import type { Manifest } from '../support/tiny/index.ts';

/** The worker hears of its end only after so many seconds, and works on. */
const deaf = { lifecycle: { preStop: { sleep: { seconds: 10 } } } };

/** @param tuneOf gives the one that these tests share with others */
export function replacedTests(tuneOf: () => TinyTune): void {
  describe.concurrent('made again while a pod of the earlier one works', () => {
    const ways: [string, (tune: TinyTune, name: string, again: Manifest) => void][] = [
      ['forced', (tune, _, again) => tune.kubectl(['replace', '--force', '-f', '-'], JSON.stringify(again))],
      [
        'orphaned',
        (tune, name, again) => {
          tune.kubectl(['delete', 'offsitetune', name, '--cascade=orphan']);
          tune.apply(again);
        },
      ],
    ];
    it.for(ways)(
      '%s: its pod begins when the other has ended, and makes what one alone makes',
      // Tests that run at one time have each their own.
      async ([name, makeAgain], { expect }) => {
        const tune = tuneOf();
        const running = () => tune.running(name);
        tune.apply(tune.endless(name, deaf));
        await expect.poll(running, patience).toHaveLength(1);
        const [first] = running();
        makeAgain(tune, name, tune.named(name));
        // The event stays, however soon the other has ended.
        await expect.poll(() => waits(tune, name), patience).toMatch(/ OffsiteTune \S+ to end: /);
        if (name === 'orphaned') {
          expect(running()).toEqual([first]);
          // Nobody owns it: as the message advises.
          end(tune, waits(tune, name));
        }
        const seen: string[][] = [];
        const phase = () => {
          seen.push(running());
          return statusOf(tune, name)?.phase;
        };
        await expect.poll(phase, patience).toBe('Complete');
        expect(seen.filter((pods) => pods.length > 1)).toEqual([]);
        const { attempt, artifact } = statusOf(tune, name) as OffsiteTuneStatus;
        expect({ attempt, digest: artifact?.digest }).toEqual({
          attempt: 1,
          digest: tune.alone.status?.artifact?.digest,
        });
      },
    );
  });
}

const statusOf = (tune: TinyTune, name: string) =>
  tune.resources().find(({ metadata }) => metadata.name === name)?.status;

/** What was told of a resource that waits for what is left of an earlier one. */
function waits(tune: TinyTune, name: string): string {
  const its = `involvedObject.name=${name},reason=LeftoverRunning`;
  return tune.kubectl(['get', 'events', '--field-selector', its, '--output=jsonpath={.items[*].message}']);
}

/** Runs the command with which a message says that what is left can be ended. */
function end(tune: TinyTune, message: string): void {
  const [, command = ''] = /to end it at once: kubectl (.*) --namespace \S+$/.exec(message) ?? [];
  tune.kubectl(command.split(' '));
}
