import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The long-running programs of one cluster: a log file each, and a record of each pid on disk, so that a later process
 * can end them too. `directory` is theirs alone.
 */
export class Processes {
  readonly #pids: string;
  readonly #logs: string;
  readonly #enter: readonly string[];
  readonly #children = new Map<string, ChildProcess>();

  /** @param enter a command that starts the programs inside namespaces, as its only child: `nsenter ...` */
  constructor(directory: string, enter: readonly string[] = []) {
    this.#pids = join(directory, 'pids');
    this.#logs = join(directory, 'logs');
    this.#enter = enter;
    mkdirSync(this.#pids, { recursive: true });
    mkdirSync(this.#logs, { recursive: true });
  }

  async start(name: string, program: string, args: readonly string[]): Promise<void> {
    const [command, ...rest] = [...this.#enter, program, ...args] as [string, ...string[]];
    const log = openSync(this.log(name), 'a');
    // Detached: Ctrl-C at the terminal must not end a cluster that outlives this process.
    const child = spawn(command, rest, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    child.unref();
    await once(child, 'spawn');
    this.#children.set(name, child);
    const pid = this.#enter.length > 0 ? await childOf(child) : child.pid;
    if (pid !== undefined) record(join(this.#pids, name), pid);
  }

  pid(name: string): number | undefined {
    return recorded(join(this.#pids, name));
  }

  log(name: string): string {
    return join(this.#logs, `${name}.log`);
  }

  /** Why a started program is no longer there, with the end of its log; undefined while it runs. */
  failure(name: string): string | undefined {
    if (this.pid(name) !== undefined) return undefined;
    const last = readFileSync(this.log(name), 'utf8').trim().split('\n').slice(-8).join('\n');
    return `${name} ended with ${this.#children.get(name)?.exitCode ?? 'a signal'}:\n${last}`;
  }

  /** Ends one program: SIGTERM, after `patienceMs` SIGKILL; resolves when it is gone. */
  stop(name: string, patienceMs = 10_000): Promise<void> {
    return end(join(this.#pids, name), patienceMs);
  }

  /** Ends one program at once, as a crash would. */
  kill(name: string): Promise<void> {
    return end(join(this.#pids, name), 0);
  }

  /** Ends all, the last started first. */
  async stopAll(): Promise<void> {
    for (const name of [...this.#children.keys()].reverse()) await this.stop(name);
  }
}

/** The first process that a command starts, or undefined if the command ends before. */
export async function childOf(parent: ChildProcess): Promise<number | undefined> {
  const children = `/proc/${parent.pid}/task/${parent.pid}/children`;
  while (parent.exitCode === null && parent.signalCode === null) {
    const [pid] = existsSync(children) ? readFileSync(children, 'utf8').split(' ') : [];
    if (pid) return Number(pid);
    await sleep(5);
  }
  return undefined;
}

/** Ends every program that is recorded in a directory of a run that is no more. */
export async function killRecorded(directory: string): Promise<void> {
  const pids = join(directory, 'pids');
  // A start that broke off early has recorded none.
  for (const name of existsSync(pids) ? readdirSync(pids) : []) await end(join(pids, name));
}

/** Whether every program that is recorded in a directory still runs; false if there is none. */
export function allRun(directory: string): boolean {
  const pids = join(directory, 'pids');
  const names = existsSync(pids) ? readdirSync(pids) : [];
  return names.length > 0 && names.every((name) => recorded(join(pids, name)) !== undefined);
}

/** Writes down a process so that it is known again, even after its pid was given to another. */
export function record(file: string, pid: number): void {
  // Whole or not at all: another process takes a cluster without an owner for left over.
  writeFileSync(`${file}.partial`, `${pid} ${startOf(pid)}\n`);
  renameSync(`${file}.partial`, file);
}

/** The pid in a record, whether or not its process still runs, with when it started: no other process has both. */
export function nameOf(file: string): string {
  return readFileSync(file, 'utf8').trim().replace(' ', '-');
}

/** The pid in a record, if that same process still runs. */
export function recorded(file: string): number | undefined {
  try {
    const [pid, start] = readFileSync(file, 'utf8').trim().split(' ');
    return start !== '' && startOf(Number(pid)) === start ? Number(pid) : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the process of a record, after some patience by force, and waits until it is gone. */
export async function end(file: string, patienceMs = 0): Promise<void> {
  const pid = recorded(file);
  if (pid !== undefined) {
    signal(pid, patienceMs > 0 ? 'SIGTERM' : 'SIGKILL');
    const deadline = Date.now() + patienceMs;
    while (recorded(file) !== undefined) {
      if (Date.now() > deadline) signal(pid, 'SIGKILL');
      await sleep(20);
    }
  }
  rmSync(file, { force: true });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone in between
  }
}

/** When a process started, in the kernel's ticks: with the pid it names one process for good. Zombies count as gone. */
function startOf(pid: number): string {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] as string);
  } catch {
    return '';
  }
}
