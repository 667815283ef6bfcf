import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../cluster/certificates.ts';
import { type Hub, startHub } from '../servers/hub.ts';
import { S3Server } from '../servers/s3-server.ts';
import { behindTls, startProxy } from '../servers/tunnels.ts';

const bucket = 'team';

/**
 * A network without the internet: mirrors of S3 and the hub with certificates of the house's own authority, behind a proxy
 * that asks for a password. Nobody else knows the mirrors' names.
 */
export class PrivateNetwork {
  static readonly names = ['s3.internal.example', 'hub.internal.example', 'files.internal.example'] as const;
  static readonly token = 'hf_never-to-be-shown';
  static readonly password = 'never-shown-either';
  readonly s3: S3Server;
  /** Holds `team/tiny` in its revision v1. */
  readonly hub: Hub;
  /** The file with the authority's certificate. */
  readonly authority: string;
  readonly proxyUrl: string;
  /** What the proxy was asked for, in order. */
  readonly asked: readonly string[];
  readonly #closings: readonly (() => unknown)[];

  private constructor(
    fields: Pick<PrivateNetwork, 's3' | 'hub' | 'authority' | 'proxyUrl' | 'asked'>,
    closings: (() => unknown)[],
  ) {
    this.s3 = fields.s3;
    this.hub = fields.hub;
    this.authority = fields.authority;
    this.proxyUrl = fields.proxyUrl;
    this.asked = fields.asked;
    this.#closings = closings;
  }

  /**
   * @param directory holds model/ for the hub and data/ for the bucket; the authority's files come there
   * @param address of this machine at which the proxy listens; loopback when absent
   */
  static async start(directory: string, address = '127.0.0.1'): Promise<PrivateNetwork> {
    const closings: (() => unknown)[] = [];
    const s3 = await S3Server.start(bucket);
    closings.push(() => s3.remove());
    cpSync(join(directory, 'data'), s3.fileOf(bucket, 'data'), { recursive: true });
    const hub = await startHub(join(directory, 'model'), PrivateNetwork.token);
    closings.push(() => hub.close());
    const pki = join(directory, 'pki');
    mkdirSync(pki);
    const authority = new Authority(pki);
    const { names } = PrivateNetwork;
    const certificate = authority.issue('web', 'web', [], [...names]);
    const ports = [s3.port, hub.port, hub.filesPort];
    const fronts = await Promise.all(ports.map((port) => behindTls(port, certificate)));
    for (const front of fronts) closings.push(() => front.close());
    Object.assign(hub, { pagesAt: `https://${names[1]}`, filesAt: `https://${names[2]}` });
    const hosts = new Map(fronts.map(({ port }, i) => [names[i]!, port]));
    const proxy = await startProxy(hosts, `team:${PrivateNetwork.password}`, address);
    closings.push(() => proxy.close());
    const proxyUrl = `http://team:${PrivateNetwork.password}@${address}:${proxy.port}`;
    return new PrivateNetwork(
      { s3, hub, authority: authority.own.cert, proxyUrl, asked: proxy.asked },
      closings,
    );
  }

  /** What a Secret for the bucket holds: where it is, the environment says. */
  get keys(): { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string } {
    return { AWS_ACCESS_KEY_ID: this.s3.accessKey, AWS_SECRET_ACCESS_KEY: this.s3.secretKey };
  }

  /** What an administrator gives to every worker, beside proxy and authority: the mirrors' addresses. */
  get mirrors(): { AWS_ENDPOINT_URL: string; AWS_REGION: string; HF_ENDPOINT: string } {
    const [s3, hub] = PrivateNetwork.names;
    return { AWS_ENDPOINT_URL: `https://${s3}`, AWS_REGION: 'us-east-1', HF_ENDPOINT: `https://${hub}` };
  }

  async close(): Promise<void> {
    for (const step of this.#closings.toReversed()) await step();
  }
}
