import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { kubernetesPrograms } from './programs.ts';

/** A port of this machine's loopback that leads to one within a pod, until it is closed. @param target such as pod/NAME */
export async function forwardPort(
  kubeconfig: string,
  namespace: string,
  target: string,
  port: number,
): Promise<{ port: number; close(): Promise<void> }> {
  const to = ['--kubeconfig', kubeconfig, 'port-forward', '-n', namespace, target, `:${port}`];
  const child = spawn(kubernetesPrograms('kubectl').kubectl, to, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(child.stdout, 'data');
  child.stdout.resume();
  return {
    port: Number(/127\.0\.0\.1:(\d+)/.exec(String(said))?.[1]),
    close: async () => {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}
