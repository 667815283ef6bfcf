import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../cluster/ports.ts';

/** The real nats-server on loopback, with a store of its own that outlives a restart. */
export class NatsServer {
  readonly port: number;
  readonly #directory = mkdtempSync(join(tmpdir(), 'offsite-nats-'));
  #process: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** @param options.more lines of nats-server's configuration; `limits` those of its JetStream */
  static async start(
    options: { jetstream?: boolean; limits?: string; more?: string; port?: number } = {},
  ): Promise<NatsServer> {
    const server = new NatsServer(options.port ?? (await freePort()));
    const store = `jetstream { store_dir: ${JSON.stringify(server.#directory)}, ${options.limits ?? ''} }`;
    writeFileSync(
      server.#configuration,
      [
        `listen: "127.0.0.1:${server.port}"`,
        options.jetstream === false ? '' : store,
        options.more ?? '',
      ].join('\n'),
    );
    try {
      await server.restart();
    } catch (error) {
      await server.remove();
      throw error;
    }
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** @throws before it was started */
  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('nats-server does not run');
    return pid;
  }

  get #configuration(): string {
    return join(this.#directory, 'nats.conf');
  }

  async restart(): Promise<void> {
    const server = spawn(binary(), ['-c', this.#configuration], { stdio: 'ignore' });
    this.#process = server;
    for (let tries = 0; tries < 600; tries++) {
      if (await answers(this.port)) return;
      if (server.exitCode !== null) break;
      await sleep(50);
    }
    throw new Error(`nats-server did not come up on port ${this.port}`);
  }

  /** Kills the server without warning. */
  async kill(): Promise<void> {
    const server = this.#process;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  /** Takes away what a killed server kept, as where its disk is lost. */
  empty(): void {
    rmSync(join(this.#directory, 'jetstream'), { recursive: true });
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

let path: string | undefined;

/** Built on first use, which takes Go about 20 s. */
function binary(): string {
  const script = fileURLToPath(new URL('../../../scripts/setup/nats-server.sh', import.meta.url));
  path ??= execFileSync(script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  return path;
}

async function answers(port: number): Promise<boolean> {
  const socket = dial(port, '127.0.0.1');
  try {
    await once(socket, 'data', { signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
