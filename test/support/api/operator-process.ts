import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const root = join(import.meta.dirname, '../../..');

/** The operator as its image holds it: one bundled file, and Node's flags. */
export class OperatorBundle {
  readonly directory = mkdtempSync(join(tmpdir(), 'offsite-operator-'));
  readonly #running = new Set<OperatorProcess>();

  /** @param source a checkout of another version; this one when absent */
  constructor(source = root) {
    execFileSync(process.execPath, ['scripts/images/stage.ts', 'operator', this.directory], { cwd: source });
  }

  /** @param args flags, after those that every test needs */
  start(kubeconfig: string, ...args: string[]): OperatorProcess {
    const flags = ['--worker-image', 'worker:test', '--metrics-port', '0', '--namespace', 'default', ...args];
    const program = [...nodeFlags(), join(this.directory, 'app/main.mjs'), ...flags];
    const process = new OperatorProcess(program, kubeconfig);
    this.#running.add(process);
    return process;
  }

  /** Ends every operator that was started. */
  async killAll(): Promise<void> {
    for (const process of this.#running) await process.kill();
    this.#running.clear();
  }

  async remove(): Promise<void> {
    await this.killAll();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** As the image's entry point has them. */
function nodeFlags(): string[] {
  const [, entry] = /^ENTRYPOINT (\[.*\])$/m.exec(
    readFileSync(join(root, 'images/operator/Dockerfile'), 'utf8'),
  )!;
  return (JSON.parse(entry!) as string[]).filter((part) => part.startsWith('-'));
}

export class OperatorProcess {
  /** Its log lines. */
  readonly log: string[] = [];
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** @param args of Node */
  constructor(args: readonly string[], kubeconfig: string) {
    this.child = spawn(process.execPath, args, {
      env: { PATH: process.env['PATH'], KUBECONFIG: kubeconfig, LOG_LEVEL: 'info' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => this.log.push(line));
    }
    this.#ended = once(this.child, 'exit');
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Whether it has said so in its log. */
  said(message: string): boolean {
    return this.log.some((line) => line.includes(`"msg":"${message}`));
  }

  /** Log lines at level error, or that are no log lines. */
  complaints(): string[] {
    return this.log.filter((line) => !line.startsWith('{"level":') || /^\{"level":[56]0/.test(line));
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.running) await this.#ended;
  }

  /** SIGTERM. @returns the exit code */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    if (this.running) await this.#ended;
    return this.child.exitCode;
  }
}
