import { execFileSync } from 'node:child_process';
import { kubernetesPrograms } from './programs.ts';

let program: string | undefined;

/** Runs kubectl and returns what it printed; an error carries what it said. */
export function kubectl(kubeconfig: string, args: readonly string[], input?: string): string {
  program ??= kubernetesPrograms('kubectl').kubectl;
  return execFileSync(program, ['--kubeconfig', kubeconfig, ...args], {
    encoding: 'utf8',
    input,
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });
}
