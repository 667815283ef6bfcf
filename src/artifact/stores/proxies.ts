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
    .map((entry) => entry.replace(/\.$/, ''))
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

/**
 * Those that hold for a server: none where NO_PROXY has its address, however it is written, or a range that it is in. Of names the
 * clients know more.
 */
export function proxiesFor(url: URL, proxies: Proxies): Proxies {
  const address = bare(url.hostname);
  const version = versionOf(address);
  return version !== undefined && rangesIn(proxies.noProxy, url).check(address, version) ? none : proxies;
}

/** The ranges, and single addresses, that are asked directly at the port of a URL. */
function rangesIn(noProxy = '', { protocol, port }: URL): BlockList {
  const ranges = new BlockList();
  const at = port || (protocol === 'http:' ? '80' : '443');
  for (const entry of noProxy.split(',')) {
    const [, named = entry, only = at] = /^(\[.+\]|[0-9.]+):([0-9]+)$/.exec(entry) ?? [];
    const [place = '', bits] = named.split('/');
    const network = bare(place);
    const version = versionOf(network);
    const most = version === 'ipv4' ? 32 : 128;
    const size = bits === undefined ? most : /^[0-9]{1,3}$/.test(bits) ? Number(bits) : Infinity;
    if (version !== undefined && size <= most && only === at) ranges.addSubnet(network, size, version);
  }
  return ranges;
}

/** An address without the brackets that it has in a URL. */
const bare = (hostname: string) => hostname.replace(/^\[(.*)\]$/, '$1');

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
