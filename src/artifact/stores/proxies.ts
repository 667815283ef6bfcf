// The proxy settings of the environment, also as the cause of a server that cannot be reached.
import { BlockList, isIP } from 'node:net';
import { badSpec } from '../../api/index.ts';

/** Through which proxies HTTP goes, each for addresses of its own protocol: URLs, and the hosts that are asked directly. */
export interface Proxies {
  readonly httpProxy: string | undefined;
  readonly httpsProxy: string | undefined;
  readonly noProxy: string | undefined;
}

/**
 * What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, in lower case before upper case, as curl has it.
 * @throws OffsiteError BadSpec for an address that is no HTTP proxy's; the message does not quote it, it may hold a password
 */
export function proxiesOf(environment: NodeJS.ProcessEnv): Proxies {
  const said = (name: string) => environment[name.toLowerCase()] || environment[name] || undefined;
  const proxy = (name: string) => {
    const url = said(name);
    if (url === undefined || isProxy(url)) return url;
    throw badSpec(
      `the environment's ${name} must be a proxy's URL, such as http://proxy.example.com:3128 (a % in a password is written %25)`,
    );
  };
  const noProxy = said('NO_PROXY')
    ?.split(/[\s,]+/)
    .flatMap((entry) => (isDomain(entry) ? [entry, `.${entry}`] : [entry]))
    .join(',');
  return { httpProxy: proxy('HTTP_PROXY'), httpsProxy: proxy('HTTPS_PROXY'), noProxy };
}

function isProxy(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return false;
  try {
    decodeURIComponent(url.username + url.password);
    return true;
  } catch {
    return false;
  }
}

/** A name without a dot before it: what is below it counts as well, which Node's client would not have it do. */
const isDomain = (entry: string) => /^[a-z0-9_]/i.test(entry) && !/^[0-9.:/]+$/.test(entry);

const none: Proxies = { httpProxy: undefined, httpsProxy: undefined, noProxy: undefined };

/** Those that hold for a server: none where NO_PROXY has a range that its address is in, since no client knows ranges. */
export function proxiesFor(hostname: string, proxies: Proxies): Proxies {
  const address = hostname.replace(/^\[|\]$/g, '');
  const version = versionOf(address);
  return version !== undefined && rangesIn(proxies.noProxy).check(address, version) ? none : proxies;
}

function rangesIn(noProxy = ''): BlockList {
  const ranges = new BlockList();
  for (const entry of noProxy.split(',')) {
    const [network = '', bits = ''] = entry.split('/');
    const version = versionOf(network);
    const most = version === 'ipv4' ? 32 : 128;
    if (version !== undefined && /^[0-9]{1,3}$/.test(bits) && Number(bits) <= most)
      ranges.addSubnet(network, Number(bits), version);
  }
  return ranges;
}

const versionOf = (address: string) => (({ 4: 'ipv4', 6: 'ipv6' }) as const)[isIP(address)];

/** The proxy for addresses of a protocol, unless NO_PROXY names their host; undefined where they are asked directly. */
export const proxyOf = (protocol: string, { httpProxy, httpsProxy }: Proxies) =>
  protocol === 'http:' ? httpProxy : httpsProxy;

const unknownAuthority = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Why a server could not be reached: the error's code, and what of the environment has a part in it. */
export function whyUnreached(code: string, protocol: string, proxies: Proxies): string {
  if (unknownAuthority.has(code))
    return `${code}: add the authority of its certificate by NODE_EXTRA_CA_CERTS`;
  if (proxyOf(protocol, proxies) === undefined) return code;
  return `${code}, through the proxy of ${protocol === 'http:' ? 'HTTP_PROXY' : 'HTTPS_PROXY'} unless NO_PROXY names it`;
}
