import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { kubectl } from './kubectl.ts';
import { kubernetesPrograms } from './programs.ts';

const loader = 'loader';

const write = `
const fs = require('node:fs'), path = require('node:path');
const file = path.join('/mnt/claims', process.argv[1]);
fs.mkdirSync(path.dirname(file), { recursive: true });
process.stdin.pipe(fs.createWriteStream(file));
`;

/**
 * Copies folders into claims, through the pod of examples/cluster/3-loader.yaml: it works on any cluster.
 * @param folders claim/path -> the folder whose files come there
 */
export async function fillClaims(
  kubeconfig: string,
  namespace: string,
  folders: Record<string, string>,
): Promise<void> {
  kubectl(kubeconfig, ['wait', '-n', namespace, 'pod', loader, '--for=condition=Ready', '--timeout=300s']);
  for (const [target, folder] of Object.entries(folders)) {
    const files = globSync('**', { cwd: folder }).filter((file) => statSync(join(folder, file)).isFile());
    for (const file of files) await writeFile(kubeconfig, namespace, join(folder, file), `${target}/${file}`);
  }
}

/** Prints a file of a claim, by its path claim/path. */
export function readClaim(kubeconfig: string, namespace: string, path: string): string {
  const print = `process.stdout.write(require('node:fs').readFileSync('/mnt/claims/' + process.argv[1]))`;
  return kubectl(kubeconfig, ['exec', '-n', namespace, loader, '--', 'node', '-e', print, path]);
}

async function writeFile(kubeconfig: string, namespace: string, file: string, target: string): Promise<void> {
  const { kubectl: program } = kubernetesPrograms('kubectl');
  const to = ['exec', '-i', '-n', namespace, loader, '--', 'node', '-e', write, target];
  const child = spawn(program, ['--kubeconfig', kubeconfig, ...to], { stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const exit = once(child, 'exit');
  await pipeline(createReadStream(file), child.stdin);
  const [code] = await exit;
  if (code !== 0) throw new Error(`${target} could not be written: ${said}`);
}
