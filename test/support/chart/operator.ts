/** The operator's process beside a real API server, with the rights and the environment that the chart gives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { kubectl as run } from '../cluster/kubectl.ts';
import { freePort } from '../cluster/ports.ts';
import { one, release, render } from './helm.ts';

const program = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));

export interface Request {
  verb: string;
  kind: string;
  code: string;
}

/** The operator's process as its container would run it: the same variables, the service account's token. */
export class Operator {
  log = '';
  readonly #process: ChildProcess;
  readonly #port: number;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.#port = port;
    process.stdout?.on('data', (data) => {
      this.log += data;
    });
    process.stderr?.on('data', (data) => {
      this.log += data;
    });
  }

  /**
   * @param values of the installed release, by whose service account it acts
   * @param environment over what the chart sets
   */
  static async start(
    plane: ControlPlane,
    values: object,
    environment: Record<string, string> = {},
  ): Promise<Operator> {
    const port = await freePort();
    const fields: Record<string, string> = {
      'metadata.name': 'operator-0',
      'metadata.namespace': release.namespace,
    };
    const [container] = one(render({ ...values, operator: { port } }), 'Deployment')['spec'].template.spec
      .containers;
    const env = Object.fromEntries(
      container.env.map(({ name, value, valueFrom }: EnvVariable) => [
        name,
        value ?? fields[valueFrom!.fieldRef.fieldPath],
      ]),
    );
    const node = spawn(process.execPath, [program], {
      env: { PATH: process.env['PATH'], ...env, ...environment, KUBECONFIG: kubeconfigOfAccount(plane) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Operator(node, port);
  }

  async answers(path: string): Promise<number> {
    if (this.#process.exitCode !== null) throw new Error(`the operator ended: ${this.log}`);
    return await this.#get(path).then(
      ({ status }) => status,
      () => 0,
    );
  }

  /** Its requests to the API server so far. */
  async metrics(): Promise<Request[]> {
    const text = await (await this.#get('/metrics')).text();
    return [...text.matchAll(/^offsite_operator_api_requests_total\{(.*)\} \d+$/gm)].map(([, labels]) =>
      Object.fromEntries([...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
    ) as unknown as Request[];
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    this.#process.kill();
    await once(this.#process, 'exit');
  }

  #get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port}${path}`);
  }
}

interface EnvVariable {
  name: string;
  value?: string;
  valueFrom?: { fieldRef: { fieldPath: string } };
}

/** Path of a kubeconfig with a token of the operator's service account. */
function kubeconfigOfAccount(plane: ControlPlane): string {
  const account = `${release.name}-operator`;
  const kubectl = (args: readonly string[]) => run(plane.kubeconfig, args);
  const token = kubectl(['create', 'token', account, '--namespace', release.namespace]).trim();
  const config = parse(kubectl(['config', 'view', '--raw', '--minify']));
  config.users = config.users.map(({ name }: { name: string }) => ({ name, user: { token } }));
  const file = join(plane.directory, 'operator.kubeconfig');
  writeFileSync(file, stringify(config), { mode: 0o600 });
  return file;
}
