import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where a pod's things lie. */
export interface PodSettings {
  /** Copies of what lies in stores. */
  scratch: string;
  /** The directory of each mounted claim. */
  claims: Record<string, string>;
  claimsDirectory: string;
  secrets: string;
  nats:
    | { url: string; credentials: string | undefined; certificateAuthority: string | undefined }
    | undefined;
  terminationLog: string;
  /** How long the worker may take after SIGTERM, a little less than the pod's own grace period. */
  graceSeconds: number;
  /** After how long another pod that holds the output and gives no sign of life is taken for dead. */
  lockSeconds: number;
}

/** The places that the operator mounts, or what the environment says instead. */
export function podSettings(environment: NodeJS.ProcessEnv): PodSettings {
  const at = (name: string, usual: string) => environment[name] || usual;
  const claimsDirectory = at('OFFSITE_CLAIMS', '/mnt/claims');
  const names = existsSync(claimsDirectory) ? readdirSync(claimsDirectory) : [];
  const natsDirectory = at('OFFSITE_NATS', '/etc/offsite/nats');
  const ifThere = (file: string) => {
    const path = join(natsDirectory, file);
    return existsSync(path) ? path : undefined;
  };
  const url = environment['OFFSITE_NATS_URL'];
  return {
    scratch: at('OFFSITE_SCRATCH', '/scratch'),
    claims: Object.fromEntries(names.map((name) => [name, join(claimsDirectory, name)])),
    claimsDirectory,
    secrets: at('OFFSITE_SECRETS', '/etc/offsite/secrets'),
    nats: url
      ? { url, credentials: ifThere('nats.creds'), certificateAuthority: ifThere('ca.crt') }
      : undefined,
    terminationLog: at('OFFSITE_TERMINATION_LOG', '/dev/termination-log'),
    graceSeconds: Number(at('OFFSITE_GRACE_SECONDS', '50')),
    lockSeconds: Number(at('OFFSITE_LOCK_SECONDS', '60')),
  };
}
