import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../../src/worker/pod/main.ts', import.meta.url));

export interface PodEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** The termination log, parsed. */
  termination: Record<string, unknown> | undefined;
  /** What it wrote, line by line. */
  log: Record<string, unknown>[];
  text: string;
  milliseconds: number;
}

export interface PodOptions {
  environment?: NodeJS.ProcessEnv;
  /** What starts Node; its arguments come before Node's path. */
  through?: readonly string[];
  /** Told of each log line as it comes. */
  onLine?: (line: Record<string, unknown>, kill: (signal: NodeJS.Signals) => void) => void;
}

/** A namespace without a cluster: claims and Secrets as directories, pods as processes of the worker's own entry. */
export class Namespace {
  readonly directory = mkdtempSync(join(tmpdir(), 'offsite-pods-'));
  #pods = 0;

  /** The directory of a claim. */
  claim(name: string): string {
    const path = join(this.directory, 'claims', name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  secret(name: string, values: Record<string, string>): void {
    const path = join(this.directory, 'secrets', name);
    mkdirSync(path, { recursive: true });
    for (const [key, value] of Object.entries(values)) writeFileSync(join(path, key), value);
  }

  /** The file of a Secret that a pod sees of a key. */
  key(kind: 'private' | 'public', secret: string, text: string): void {
    const path = join(this.directory, 'keys', kind, secret);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, `${kind}.pem`), text);
  }

  /** Runs a pod with a scratch directory of its own to its end. */
  async run(job: unknown, { environment = {}, through = [], onLine }: PodOptions = {}): Promise<PodEnd> {
    const own = join(this.directory, `pod-${this.#pods++}`);
    mkdirSync(join(own, 'scratch'), { recursive: true });
    const terminationLog = join(own, 'termination-log');
    const started = performance.now();
    const [program = process.execPath, ...args] = [...through, process.execPath, main];
    const child = spawn(program, args, {
      env: {
        PATH: process.env['PATH'],
        HOME: own,
        OFFSITE_JOB: typeof job === 'string' ? job : JSON.stringify(job),
        OFFSITE_SCRATCH: join(own, 'scratch'),
        OFFSITE_CLAIMS: join(this.directory, 'claims'),
        OFFSITE_SECRETS: join(this.directory, 'secrets'),
        OFFSITE_KEYS: join(this.directory, 'keys'),
        OFFSITE_NATS: join(this.directory, 'nats'),
        OFFSITE_TERMINATION_LOG: terminationLog,
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines: string[] = [];
    const errors: string[] = [];
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      onLine?.(parsed(line), (signal) => child.kill(signal));
    });
    child.stderr.on('data', (chunk: Buffer) => errors.push(String(chunk)));
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    return {
      code,
      signal,
      termination: existsSync(terminationLog)
        ? (JSON.parse(readFileSync(terminationLog, 'utf8')) as Record<string, unknown>)
        : undefined,
      log: lines.map(parsed),
      text: [...lines, ...errors].join('\n'),
      milliseconds: performance.now() - started,
    };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return { unparsable: line };
  }
}
