import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What scripts/setup/kubernetes.sh brings. */
export type KubernetesProgram =
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kubectl'
  | 'kubelet'
  | 'kube-proxy';

/** Paths of the Kubernetes programs asked for: those of KUBEBUILDER_ASSETS, cached ones, or built now (minutes). */
export function kubernetesPrograms<P extends KubernetesProgram>(...names: P[]): Record<P, string> {
  const paths = setUp('kubernetes.sh', ...names);
  return Object.fromEntries(names.map((name, i) => [name, paths[i]])) as Record<P, string>;
}

export const etcd = (): string => setUp('etcd.sh')[0] as string;
export const coredns = (): string => setUp('coredns.sh')[0] as string;
export const helm = (): string => setUp('helm.sh')[0] as string;

/** Builds images (scripts/images/build.sh) and returns the paths of their archives. */
export const images = (...names: string[]): string[] => setUp('../images/build.sh', '--archive', ...names);

/** Runs one of scripts/setup and returns the lines that it printed. */
export function setUp(script: string, ...args: string[]): string[] {
  const path = fileURLToPath(new URL(`../../../scripts/setup/${script}`, import.meta.url));
  return execFileSync(path, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    .trim()
    .split('\n');
}
