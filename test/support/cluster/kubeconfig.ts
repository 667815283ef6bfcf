import { readFileSync, writeFileSync } from 'node:fs';
import type { Certificate } from './certificates.ts';

/** Writes a kubeconfig, with everything in it, for one client of one API server. */
export function writeKubeconfig(
  path: string,
  server: string,
  authority: Certificate,
  client: Certificate,
): void {
  const base64 = (file: string) => readFileSync(file).toString('base64');
  const configuration = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'offsite',
    clusters: [
      { name: 'offsite', cluster: { server, 'certificate-authority-data': base64(authority.cert) } },
    ],
    users: [
      {
        name: 'offsite',
        user: { 'client-certificate-data': base64(client.cert), 'client-key-data': base64(client.key) },
      },
    ],
    contexts: [{ name: 'offsite', context: { cluster: 'offsite', user: 'offsite' } }],
  };
  writeFileSync(path, JSON.stringify(configuration, undefined, 2), { mode: 0o600 });
}
