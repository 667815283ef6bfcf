import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Cluster, startTestCluster } from '../support/cluster/node.ts';
import { recorded } from '../support/cluster/processes.ts';
import { canRunNode } from '../support/pods/release.ts';

const starter = join(import.meta.dirname, '../support/pods/start-and-wait.ts');

describe.skipIf(!canRunNode())('the cluster for tests', () => {
  it('two run beside each other; one whose owner was killed is cleaned away by the next; nothing stays', async () => {
    const killed = await startAndKill();
    expect(leftOf(killed)).not.toEqual([]);
    const brokenOff = mkdtempSync(join(tmpdir(), 'offsite-cluster-'));
    writeFileSync(join(brokenOff, 'owner'), '1 0\n'); // a process that is no more

    const [one, other] = await Promise.all([startTestCluster(), startTestCluster()]);
    const both = [identify(one), identify(other)];
    try {
      expect(leftOf(killed)).toEqual([]);
      expect(existsSync(brokenOff)).toBe(false);
      for (const cluster of [one, other])
        expect(cluster.kubectl(['get', 'nodes', '-o', 'name'])).toContain('node/');
    } finally {
      await Promise.all([one.stop(), other.stop()]);
    }
    await expect.poll(() => both.flatMap(leftOf), { timeout: 60_000 }).toEqual([]);
  });

  it('a node whose kubelet and containerd crashed is taken down whole', async () => {
    const cluster = await startTestCluster();
    const identity = identify(cluster);
    await cluster.kill('kubelet');
    await cluster.kill('containerd');
    await cluster.stop();
    await expect.poll(() => leftOf(identity), { timeout: 60_000 }).toEqual([]);
  });
});

interface Identity {
  readonly directory: string;
  /** The kernel's number of its network interface: the name is given again. */
  readonly link: string;
  readonly cgroup: string;
}

/** What is to be looked for once a cluster is gone: read while it is there. */
function identify({ directory }: Pick<Cluster, 'directory'>): Identity {
  const read = (file: string) => readFileSync(join(directory, file), 'utf8').trim();
  return { directory, link: textOf(`/sys/class/net/${read('link')}/ifindex`), cgroup: read('cgroup') };
}

/** What of a cluster is still on this machine: processes, mounts, network, cgroups, files. */
function leftOf({ directory, link, cgroup }: Identity): string[] {
  const processes = globSync('/proc/[0-9]*/cmdline').filter((file) => textOf(file).includes(directory));
  const mounts = textOf('/proc/mounts')
    .split('\n')
    .filter((line) => line.includes(directory));
  const links = globSync('/sys/class/net/*/ifindex').filter((file) => textOf(file) === link);
  const files = globSync([`/sys/fs/cgroup/${cgroup}`, `/sys/fs/cgroup/*/${cgroup}`]);
  return [...processes, ...mounts, ...links, ...files, ...(existsSync(directory) ? [directory] : [])];
}

async function startAndKill(): Promise<Identity> {
  const child = spawn(process.execPath, [starter], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [directory] = await once(child.stdout, 'data');
  const identity = identify({ directory: String(directory).trim() });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(recorded(join(identity.directory, 'owner'))).toBeUndefined();
  return identity;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // the process has ended
  }
}
