import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { natsAuthSecret, natsService, systemNamespace } from './chart.ts';
import { kubectl } from './kubectl.ts';
import { kubernetesPrograms } from './programs.ts';

const offsite = join(import.meta.dirname, '../../../bin/offsite.js');

/** `offsite watch` of a namespace on this terminal, over NATS through a forwarded port, until it is closed. */
export class LiveProgress {
  readonly #children: ChildProcess[];

  private constructor(children: ChildProcess[]) {
    this.#children = children;
  }

  /** @param directory where the watcher's credentials lie meanwhile */
  static async start(kubeconfig: string, namespace: string, directory: string): Promise<LiveProgress> {
    const to = ['port-forward', '-n', systemNamespace, natsService, ':4222'];
    const forward = spawn(kubernetesPrograms('kubectl').kubectl, ['--kubeconfig', kubeconfig, ...to], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(forward.stdout, 'data');
    forward.stdout.resume();
    const port = /127\.0\.0\.1:(\d+)/.exec(String(said))?.[1];

    const key = [
      'get',
      'secret',
      '-n',
      systemNamespace,
      natsAuthSecret,
      '-o',
      'jsonpath={.data.watcher\\.creds}',
    ];
    const credentials = join(directory, 'watcher.creds');
    mkdirSync(directory, { recursive: true });
    writeFileSync(credentials, Buffer.from(kubectl(kubeconfig, key), 'base64'), { mode: 0o600 });
    const nats = ['--nats', `nats://127.0.0.1:${port}`, '--nats-credentials', credentials];
    const watch = spawn(process.execPath, [offsite, 'watch', '-n', namespace, ...nats], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: withKubectl(kubeconfig),
    });
    return new LiveProgress([watch, forward]);
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
}

/** Writes the HTML report of a cluster's resources. @param mounts of `offsite report`: claim -> directory here */
export function writeReport(
  kubeconfig: string,
  {
    name,
    namespace,
    file,
    mounts,
  }: { name: string; namespace: string; file: string; mounts: Record<string, string> },
): void {
  const options = Object.entries(mounts).flatMap(([claim, directory]) => [
    '--mount',
    `${claim}=${directory}`,
  ]);
  execFileSync(process.execPath, [offsite, 'report', name, '-n', namespace, '-o', file, ...options], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: withKubectl(kubeconfig),
  });
}

/** The environment in which `kubectl` is this cluster's. */
function withKubectl(kubeconfig: string): NodeJS.ProcessEnv {
  const folder = dirname(kubernetesPrograms('kubectl').kubectl);
  return { ...process.env, KUBECONFIG: kubeconfig, PATH: `${folder}${delimiter}${process.env['PATH']}` };
}
