import { mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isThere, numberOf } from '../../support/cluster/link.ts';
import { takePart } from '../../support/cluster/ports.ts';
import { nameOf, record, recorded } from '../../support/cluster/processes.ts';

// What clusters of one machine take from one another by its name, which another one may have taken again.
const linux = process.platform === 'linux';

test.runIf(linux)(
  'a network interface is waited for by its number: one that has its name since is another',
  () => {
    const name = Object.entries(networkInterfaces()).find(([, all]) =>
      all?.some(({ internal }) => internal),
    )![0];
    const number = numberOf(name) as number;
    expect(isThere({ name, number })).toBe(true);
    expect(isThere({ name, number: number + 1_000_000 })).toBe(false);
    expect(isThere({ name: 'offsite-none', number })).toBe(false);
  },
);

test.runIf(linux)('a cgroup has the name of one process, also after another has got its pid', () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-names-'));
  try {
    const file = join(directory, 'init');
    record(file, process.pid);
    expect(recorded(file)).toBe(process.pid);
    expect(nameOf(file)).toMatch(new RegExp(`^${process.pid}-[1-9]\\d*$`));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('two processes whose pids fall on the same ports look at different ones', async () => {
  const [one, other] = [await takePart(17), await takePart(17)];
  expect(one).not.toBe(other);
  for (const port of [one, other]) expect((port - 20_000) % 40).toBe(0);
});
