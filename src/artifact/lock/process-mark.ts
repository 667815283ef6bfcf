// The identity of a process, by which a lock's holder that has died is told from one that is slow.
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';
import { isThere } from '../unanswered.ts';

export const processMarkSchema = z.object({
  /** A digest of the machine's boot and the process namespace; numbers mean something in it alone. */
  machine: z.string(),
  id: z.int(),
  started: z.string(),
});

/** Tells one process from every other of this machine, also after its number was given to another. */
export type ProcessMark = z.output<typeof processMarkSchema>;

export function thisProcess(): ProcessMark {
  return { machine: machineMark(), id: process.pid, started: startOf(process.pid) ?? '' };
}

/** Whether a process has ended for sure; undefined where that cannot be seen from here. */
export function isGone({ machine, id, started }: ProcessMark): boolean | undefined {
  if (machine !== machineMark()) return undefined;
  if (isThere('/proc/self/stat')) return startOf(id) !== started;
  try {
    process.kill(id, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function machineMark(): string {
  const parts = [
    hostname(),
    orNothing(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
    orNothing(() => readlinkSync('/proc/self/ns/pid')),
  ];
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}

/** Since the boot, in the kernel's ticks; undefined for a process that is not there. A dead one that waits to be collected is none. */
function startOf(id: number): string | undefined {
  const text = orNothing(() => readFileSync(`/proc/${id}/stat`, 'utf8'));
  // The name before it, in brackets, may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? undefined : fields?.[19];
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
