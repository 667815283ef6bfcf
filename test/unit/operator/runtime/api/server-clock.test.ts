import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ServerClock } from '../../../../../operator/runtime/api/server-clock.ts';

it('is within a second of the server’s time, whatever this machine’s clock says, and does not jump about', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -3_600_000, max: 3_600_000 }),
      fc.array(fc.tuple(fc.nat(5000), fc.nat(400), fc.nat(400)), { minLength: 2, maxLength: 50 }),
      (skew, answers) => {
        let local = 1_800_000_000_000;
        const clock = new ServerClock(() => local);
        let last: number | undefined;
        let moves = 0;
        for (const [pause, there, back] of answers) {
          local += pause;
          const sentAt = local;
          local += there;
          const date = new Date(Math.floor((local + skew) / 1000) * 1000).toUTCString();
          local += back;
          clock.heard(date, sentAt);
          expect(Math.abs(clock.now() - (local + skew))).toBeLessThan(1000 + there + back);
          const offset = clock.now() - local;
          if (offset !== last) moves += 1;
          last = offset;
        }
        // Each answer narrows what is known; ten seconds of them are no ten changes.
        return moves <= answers.length;
      },
    ),
  );
});

it('is this machine’s own where that explains what is heard, or nothing is', () => {
  const clock = new ServerClock(() => 10_500);
  clock.heard(undefined, 10_400);
  clock.heard('nonsense', 10_400);
  clock.heard(new Date(10_000).toUTCString(), 10_400);
  expect(clock.now()).toBe(10_500);
  clock.heard(new Date(310_000).toUTCString(), 10_400);
  expect(clock.now()).toBe(310_000);
});
