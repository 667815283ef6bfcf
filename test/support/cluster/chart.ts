import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { helm } from './programs.ts';

/** Where the release's own pods run. */
export const systemNamespace = 'offsite-system';

export const natsService = 'service/offsite-offsite-tuning-nats';
/** Made by the operator; holds the credentials of those who may watch. */
export const natsAuthSecret = 'offsite-offsite-tuning-nats-auth';

const chart = join(import.meta.dirname, '../../../charts/offsite-tuning');

/** What the chart takes where no image can be pulled: nats-server as `make images` builds it. */
export const builtImages = ['nats.image.repository=offsite-nats', 'nats.image.tag=2.14.5'];

/** Several pods at once on a machine of two processors: what they ask for, not what they get. */
export const smallRequests = ['worker.resources.requests.cpu=250m'];

/** Installs or upgrades the release `offsite` and waits until its pods are ready. */
export function installChart(
  kubeconfig: string,
  values: readonly string[],
  more: readonly string[] = [],
): string {
  return execFileSync(
    helm(),
    [
      ...['upgrade', '--install', 'offsite', chart, '--kubeconfig', kubeconfig],
      ...['--namespace', systemNamespace, '--create-namespace', '--wait', '--timeout', '10m'],
      ...values.flatMap((value) => ['--set', value]),
      ...more,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
}
