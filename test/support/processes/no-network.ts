import { readFileSync } from 'node:fs';

/** What starts a program without any network; the kernel counts there what it tries to reach. */
export const withoutNetwork = ['unshare', '--map-root-user', '--net'] as const;

/** Runs the command after it and, at its end, leaves the network's counters in the file that is named first. */
export const counting = (file: string) =>
  [
    ...withoutNetwork,
    'sh',
    '-c',
    'file=$1; shift; "$@"; code=$?; cat /proc/net/snmp /proc/net/snmp6 > "$file"; exit $code',
    'sh',
    file,
  ] as const;

/** Counters that any look-up of a name and any try to connect raises, also where there is no way to the address. */
const counters = [
  'Ip.OutRequests',
  'Ip.OutNoRoutes',
  'Tcp.ActiveOpens',
  'Udp.OutDatagrams',
  'Ip6OutRequests',
  'Ip6OutNoRoutes',
  'Udp6OutDatagrams',
];

/** How often something was to be reached, by the texts of /proc/net/snmp and /proc/net/snmp6. */
export function triesIn(text: string): number {
  const found = new Map<string, number>();
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  for (const [i, [first = '', ...names]] of lines.entries()) {
    if (!first.endsWith(':')) found.set(first, Number(names[0]));
    else if (lines[i + 1]?.[0] === first)
      for (const [j, name] of names.entries())
        found.set(`${first.slice(0, -1)}.${name}`, Number(lines[i + 1]?.[j + 1]));
  }
  return counters.reduce((sum, name) => {
    const value = found.get(name);
    if (value === undefined) throw new Error(`the kernel does not count ${name}`);
    return sum + value;
  }, 0);
}

/** How often a running process, and all that share its network, tried to reach something. */
export const triesOf = (pid: number): number =>
  triesIn(['snmp', 'snmp6'].map((name) => readFileSync(`/proc/${pid}/net/${name}`, 'utf8')).join('\n'));
