import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../cluster/ports.ts';

/** A real S3 server on loopback over a directory, with a root user, and others where a test makes them. */
export class S3Server {
  readonly port: number;
  readonly accessKey = 'AKIATESTTESTTEST';
  readonly secretKey = 'never-to-be-shown-in-a-message';
  readonly #directory = mkdtempSync(join(tmpdir(), 'offsite-s3-'));
  #process: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  /** @param buckets made before it starts */
  static async start(...buckets: string[]): Promise<S3Server> {
    const server = new S3Server(await freePort());
    for (const bucket of buckets) mkdirSync(join(server.#directory, 'data', bucket), { recursive: true });
    for (const name of ['attributes', 'users']) mkdirSync(join(server.#directory, name));
    await server.restart();
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What a Secret, or the environment, holds for this server. */
  get credentials(): Record<string, string> {
    return {
      AWS_ACCESS_KEY_ID: this.accessKey,
      AWS_SECRET_ACCESS_KEY: this.secretKey,
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_REGION: 'us-east-1',
    };
  }

  /** Makes a user who may do what policies say, and nothing else. @returns what a Secret holds for that user */
  addUser(name: string): Record<string, string> {
    const secret = `never-to-be-shown-of-${name}`;
    const root = ['--access', this.accessKey, '--secret', this.secretKey, '--endpoint-url', this.endpoint];
    execFileSync(binary(), ['admin', ...root, 'create-user', '-a', name, '-s', secret, '-r', 'user']);
    return { ...this.credentials, AWS_ACCESS_KEY_ID: name, AWS_SECRET_ACCESS_KEY: secret };
  }

  /** Where an object lies on disk. */
  fileOf(bucket: string, key: string): string {
    return join(this.#directory, 'data', bucket, key);
  }

  /** Takes an object, or all below a key, away behind the server's back, with what it keeps beside about them. */
  forget(bucket: string, key: string): void {
    for (const kept of ['data', 'attributes'])
      rmSync(join(this.#directory, kept, bucket, key), { recursive: true, force: true });
  }

  async restart(): Promise<void> {
    const server = spawn(
      binary(),
      [
        '--port',
        `127.0.0.1:${this.port}`,
        '--iam-dir',
        join(this.#directory, 'users'),
        'posix',
        // Not every file system keeps extended attributes.
        '--sidecar',
        join(this.#directory, 'attributes'),
        join(this.#directory, 'data'),
      ],
      {
        env: { ROOT_ACCESS_KEY: this.accessKey, ROOT_SECRET_KEY: this.secretKey },
        stdio: 'ignore',
      },
    );
    this.#process = server;
    for (let tries = 0; tries < 600; tries++) {
      if (await answers(this.endpoint)) return;
      if (server.exitCode !== null) break;
      await sleep(50);
    }
    throw new Error(`versitygw did not come up on port ${this.port}`);
  }

  /** Kills the server without warning. */
  async kill(): Promise<void> {
    const server = this.#process;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

let path: string | undefined;

/** Built on first use, which takes Go about a minute. */
function binary(): string {
  const script = fileURLToPath(new URL('../../../scripts/setup/versitygw.sh', import.meta.url));
  path ??= execFileSync(script, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
  return path;
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    await fetch(endpoint);
    return true;
  } catch {
    return false;
  }
}
