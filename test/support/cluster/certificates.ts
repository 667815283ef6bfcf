import { execFileSync } from 'node:child_process';
import { isIP } from 'node:net';
import { join } from 'node:path';

/** A key pair on disk: PEM files. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority for one cluster's lifetime; its files and those that it issues lie in `directory`. */
export class Authority {
  readonly #directory: string;
  readonly own: Certificate;

  constructor(directory: string) {
    this.#directory = directory;
    this.own = this.#paths('ca');
    openssl([
      ...['req', '-x509', ...newKey(this.own), '-subj', '/CN=offsite-test-ca', '-days', '30'],
      ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ]);
  }

  /**
   * Issues a certificate for client and server use.
   * @param name its file name, without ending
   * @param organizations the groups that the API server reads from a client's certificate
   * @param hosts DNS names and IP addresses that it may serve as
   */
  issue(name: string, commonName: string, organizations: string[] = [], hosts: string[] = []): Certificate {
    const issued = this.#paths(name);
    const subject = [...organizations.map((group) => `/O=${group}`), `/CN=${commonName}`].join('');
    const alternatives = hosts.map((host) => `${isIP(host) ? 'IP' : 'DNS'}:${host}`).join(',');
    openssl([
      ...['req', '-x509', '-CA', this.own.cert, '-CAkey', this.own.key, ...newKey(issued)],
      ...['-subj', subject, '-days', '30', '-addext', 'basicConstraints=critical,CA:FALSE'],
      ...['-addext', 'extendedKeyUsage=clientAuth,serverAuth'],
      ...(hosts.length > 0 ? ['-addext', `subjectAltName=${alternatives}`] : []),
    ]);
    return issued;
  }

  #paths(name: string): Certificate {
    return { cert: join(this.#directory, `${name}.crt`), key: join(this.#directory, `${name}.key`) };
  }
}

const newKey = ({ cert, key }: Certificate) => [
  ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
  ...['-keyout', key, '-out', cert],
];

function openssl(args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
