import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeEnclosure } from './enclosure.ts';
import { killRecorded, record, recorded } from './processes.ts';

const prefix = 'offsite-cluster-';
const owner = 'owner';

/** Marks a cluster's directory as this process's: while this process lives, nobody cleans it away. */
export function claim(directory: string): void {
  record(join(directory, owner), process.pid);
}

/** Ends and removes what test runs that were killed have left behind. */
export async function removeLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))) {
    const directory = join(tmpdir(), name);
    // Without an owner it is being made right now.
    if (!existsSync(join(directory, owner)) || recorded(join(directory, owner)) !== undefined) continue;
    await killRecorded(directory);
    await closeEnclosure(directory);
    rmSync(directory, { recursive: true, force: true });
  }
}
