import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isThere, type Link, numberOf } from './link.ts';
import { childOf, end, nameOf, record, recorded } from './processes.ts';

/** What containers' tools write outside the directories that they are told: each gets an empty file system there. */
const privateDirectories = ['/run', '/var/lib/cni', '/var/log/pods', '/var/log/containers'];

/** The kernel settings that the kubelet asks for. It sees these and leaves the machine's own as they are. */
const kernelSettings = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/**
 * A machine of its own for a node's programs, as far as the kernel can make one: own network, mounts and processes, so
 * that ending its first process ends everything inside and takes mounts, interfaces and packet filters along. Its cgroups
 * lie under one name. One address, which only this machine reaches.
 */
export class Enclosure {
  readonly directory: string;
  readonly cgroup: string;
  readonly address: string;
  /** Where this machine is reached from inside. */
  readonly outside: string;
  readonly #init: number;

  private constructor(directory: string, cgroup: string, init: number, link: string) {
    this.directory = directory;
    this.cgroup = cgroup;
    this.#init = init;
    [this.outside, this.address] = addressesOf(link);
  }

  static async open(directory: string): Promise<Enclosure> {
    mkdirSync(join(directory, 'settings'));
    const script = join(directory, initFile);
    writeFileSync(script, initScript(directory));
    const namespaces = [
      '--mount',
      '--propagation',
      'private',
      '--net',
      '--pid',
      '--mount-proc',
      '--ipc',
      '--uts',
    ];
    const outer = spawn('unshare', [...namespaces, '--fork', '--kill-child', 'sh', script], {
      stdio: 'ignore',
      detached: true,
    });
    outer.unref();
    await once(outer, 'spawn');
    const init = await childOf(outer);
    if (init === undefined) throw new Error('unshare could not make namespaces: is this root on Linux?');
    record(join(directory, initRecord), init);
    // Not the pid alone: once its process has ended another cluster's may have it.
    const cgroup = `offsite-${nameOf(join(directory, initRecord))}`;
    writeFileSync(join(directory, cgroupRecord), cgroup);
    for (const parent of cgroupParents()) mkdirSync(join(parent, cgroup));
    const link = makeLink(init);
    writeFileSync(join(directory, linkRecord), JSON.stringify({ name: link, number: numberOf(link) }));
    const enclosure = new Enclosure(directory, cgroup, init, link);
    const { address, outside } = enclosure;
    ip(['address', 'add', `${outside}/30`, 'dev', link]);
    ip(['link', 'set', link, 'up']);
    await enclosure.#mounted();
    for (const command of [
      'link set lo up',
      `address add ${address}/30 dev eth0`,
      'link set eth0 up',
      `route add default via ${outside}`,
    ]) {
      enclosure.run('ip', command.split(' '));
    }
    enclosure.run('sh', ['-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']);
    return enclosure;
  }

  /** An enclosure that this or another process has opened; undefined if it does not run. */
  static running(directory: string): Enclosure | undefined {
    const init = recorded(join(directory, initRecord));
    const [cgroup, link] = [textOf(join(directory, cgroupRecord)), linkIn(directory)];
    if (init === undefined || !cgroup || link === undefined) return undefined;
    return new Enclosure(directory, cgroup, init, link.name);
  }

  /** Starts a program inside, as its only child. */
  get enter(): string[] {
    return ['nsenter', '--target', String(this.#init), '--mount', '--net', '--pid', '--ipc', '--uts', '--'];
  }

  /** Runs a command inside to its end; returns what it printed. */
  run(program: string, args: readonly string[], input?: string): string {
    const [nsenter, ...rest] = this.enter as [string, ...string[]];
    return execFileSync(nsenter, [...rest, program, ...args], {
      encoding: 'utf8',
      input,
      maxBuffer: 1 << 26,
    });
  }

  async #mounted(): Promise<void> {
    for (let tries = 0; tries < 6000; tries++) {
      if (recorded(join(this.directory, initRecord)) === undefined) break;
      if (globSync(`/proc/${this.#init}/root/run/mounted`).length > 0) return;
      await sleep(10);
    }
    throw new Error('the private mounts could not be made');
  }
}

/** Ends an enclosure, also one that another process opened, and waits until nothing of it is left outside its directory. */
export async function closeEnclosure(directory: string): Promise<void> {
  if (existsSync(join(directory, initRecord))) await end(join(directory, initRecord));
  const link = linkIn(directory);
  const cgroup = textOf(join(directory, cgroupRecord));
  const left = () => [
    ...(link && isThere(link) ? [link.name] : []),
    ...(cgroup ? cgroupParents().flatMap((parent) => removeCgroup(join(parent, cgroup))) : []),
  ];
  for (let tries = 0; left().length > 0; tries++) {
    if (tries > 3000)
      throw new Error(`these of the cluster in ${directory} do not go away: ${left().join(', ')}`);
    await sleep(20);
  }
  // Another cluster, also one that is just starting, has its own file systems on these.
  if (globSync('/proc/[0-9]*/cmdline').some((file) => textOf(file)?.includes(`/${initFile}`))) return;
  for (const path of privateDirectories) removeIfEmpty(path);
}

const initFile = 'init.sh';
const initRecord = 'init';
const linkRecord = 'link';
const cgroupRecord = 'cgroup';

/** Runs as process 1 inside: makes the private mounts, then waits for orphans to end. */
function initScript(directory: string): string {
  const settings = Object.entries(kernelSettings).flatMap(([name, value]) => {
    const file = join(directory, 'settings', name.replaceAll('/', '.'));
    writeFileSync(file, `${value}\n`);
    return [`[ ! -e /proc/sys/${name} ] || mount --bind '${file}' /proc/sys/${name}`];
  });
  return [
    'set -e',
    ...privateDirectories.map((path) => `mkdir -p ${path} && mount -t tmpfs tmpfs ${path}`),
    ...settings,
    'touch /run/mounted',
    // dash and bash collect every child that ends, adopted ones too, while they wait.
    'while :; do sleep 3600 & wait $!; done',
    '',
  ].join('\n');
}

/** A pair of interfaces, one end inside as eth0; the other's name, which nobody else has, numbers the addresses. */
function makeLink(init: number): string {
  for (let number = 0; number < 256; number++) {
    const link = `offsite${number}`;
    if (existsSync(`/sys/class/net/${link}`)) continue;
    try {
      ip(['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(init)]);
      return link;
    } catch (error) {
      // Another cluster took the name in between, or it is really an error.
      if (!existsSync(`/sys/class/net/${link}`)) throw error;
    }
  }
  throw new Error('256 clusters run already');
}

/** The outer and the inner address, out of the range that providers keep for their own (100.64.0.0/10). */
function addressesOf(link: string): [outside: string, inside: string] {
  const network = `100.100.${link.replace('offsite', '')}`;
  return [`${network}.1`, `${network}.2`];
}

function ip(args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** The top of each cgroup hierarchy: many in version 1, one in version 2. */
function cgroupParents(): string[] {
  const top = '/sys/fs/cgroup';
  if (existsSync(join(top, 'cgroup.procs'))) return [top];
  return readdirSync(top, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(top, name));
}

/** Removes a cgroup and those in it; returns it if that did not go yet. */
function removeCgroup(path: string): string[] {
  if (!existsSync(path)) return [];
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  return removeIfEmpty(path) ? [] : [path];
}

function removeIfEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function linkIn(directory: string): Link | undefined {
  const text = textOf(join(directory, linkRecord));
  return text ? (JSON.parse(text) as Link) : undefined;
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
