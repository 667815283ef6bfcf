import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../cluster/ports.ts';

/** A real S3 server over a directory, with a root user, and others where a test makes them. */
export class S3Server {
  readonly #address: string;
  readonly port: number;
  readonly accessKey = 'AKIATESTTESTTEST';
  readonly secretKey = 'never-to-be-shown-in-a-message';
  readonly #directory = mkdtempSync(join(tmpdir(), 'offsite-s3-'));
  #process: ChildProcess | undefined;

  private constructor(address: string, port: number) {
    this.#address = address;
    this.port = port;
  }

  /** On loopback. @param buckets made before it starts */
  static start(...buckets: string[]): Promise<S3Server> {
    return S3Server.startAt('127.0.0.1', ...buckets);
  }

  /** @param address of this machine at which it listens */
  static async startAt(address: string, ...buckets: string[]): Promise<S3Server> {
    const server = new S3Server(address, await freePort());
    for (const bucket of buckets) mkdirSync(join(server.#directory, 'data', bucket), { recursive: true });
    for (const name of ['attributes', 'users']) mkdirSync(join(server.#directory, name));
    await server.restart();
    return server;
  }

  get endpoint(): string {
    return `http://${this.#address}:${this.port}`;
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
    this.#administer('create-user', '-a', name, '-s', secret, '-r', 'user');
    return this.#credentialsOf(name, secret);
  }

  /** Gives a user another secret; the old one is refused from now on. @returns what a Secret holds for that user */
  changeUser(name: string): Record<string, string> {
    const secret = `never-to-be-shown-of-${name}-either`;
    this.#administer('update-user', '-a', name, '-s', secret);
    return this.#credentialsOf(name, secret);
  }

  #administer(...command: string[]): void {
    const root = ['--access', this.accessKey, '--secret', this.secretKey, '--endpoint-url', this.endpoint];
    execFileSync(binary(), ['admin', ...root, ...command]);
  }

  #credentialsOf(name: string, secret: string): Record<string, string> {
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
        `${this.#address}:${this.port}`,
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
