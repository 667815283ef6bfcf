/** The fields of a pod template that reach beyond the objects of its namespace: Pod Security's `baseline`, and service accounts. */

export const powers = ['serviceAccounts', 'hostNamespaces', 'hostPaths', 'privileges'] as const;
export type Power = (typeof powers)[number];

export interface Rule {
  readonly power: Power;
  /** The field, below the pod's spec or the container; `[]` stands for each entry of a list. */
  readonly at: string;
  readonly gives: string;
  /** Whether a value gives it; any but false and nothing when absent. */
  readonly when?: (value: unknown) => boolean;
  /** The operator sets it for its own container, whatever a template says. */
  readonly isOursInWorker?: boolean;
}

export const isSet = (value: unknown) =>
  value !== undefined && value !== null && value !== false && value !== '';
const isNot =
  (...harmless: readonly unknown[]) =>
  (value: unknown) =>
    isSet(value) && !harmless.includes(value);
const is = (harmful: string) => (value: unknown) => value === harmful;
const isUnconfined = is('Unconfined');

/** Kernel settings that are a pod's own, as Pod Security `baseline` lists them. */
const ownSysctls = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
];
/** What a container has without asking. */
const usualCapabilities = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];
const containerTypes = ['container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'];

/** Of a pod's and of a container's security context. */
const contextRules: readonly Rule[] = [
  {
    power: 'privileges',
    at: 'securityContext.appArmorProfile.type',
    gives: 'no AppArmor',
    when: isUnconfined,
  },
  {
    power: 'privileges',
    at: 'securityContext.seLinuxOptions.type',
    gives: 'another SELinux type',
    when: isNot(...containerTypes),
  },
  { power: 'privileges', at: 'securityContext.seLinuxOptions.user', gives: 'another SELinux user' },
  { power: 'privileges', at: 'securityContext.seLinuxOptions.role', gives: 'another SELinux role' },
  {
    power: 'privileges',
    at: 'securityContext.windowsOptions.hostProcess',
    gives: 'a process of the node',
  },
];

export const podRules: readonly Rule[] = [
  {
    power: 'serviceAccounts',
    at: 'serviceAccountName',
    gives: 'the name of a service account',
    when: isNot('default'),
  },
  {
    power: 'serviceAccounts',
    at: 'serviceAccount',
    gives: 'the name of a service account',
    when: isNot('default'),
  },
  {
    power: 'serviceAccounts',
    at: 'volumes[].projected.sources[].serviceAccountToken',
    gives: "a service account's token",
  },
  {
    power: 'serviceAccounts',
    at: 'volumes[].projected.sources[].podCertificate',
    gives: "a certificate in a service account's name",
  },
  { power: 'hostNamespaces', at: 'hostNetwork', gives: "the node's network" },
  { power: 'hostNamespaces', at: 'hostPID', gives: "the node's processes" },
  { power: 'hostNamespaces', at: 'hostIPC', gives: "the node's shared memory" },
  { power: 'hostPaths', at: 'volumes[].hostPath', gives: "the node's files" },
  {
    power: 'privileges',
    at: 'securityContext.sysctls[].name',
    gives: 'settings of the kernel',
    when: isNot(...ownSysctls),
  },
  ...contextRules,
];

const callers = [
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle.postStart',
  'lifecycle.preStop',
];

export const containerRules: readonly Rule[] = [
  { power: 'hostNamespaces', at: 'ports[].hostPort', gives: 'a port of the node', when: isNot(0) },
  ...callers.flatMap((caller) =>
    ['httpGet', 'tcpSocket'].map(
      (call): Rule => ({
        power: 'hostNamespaces',
        at: `${caller}.${call}.host`,
        gives: 'calls from the node to any host',
      }),
    ),
  ),
  {
    power: 'privileges',
    at: 'securityContext.privileged',
    gives: 'all rights on the node',
    isOursInWorker: true,
  },
  {
    power: 'privileges',
    at: 'securityContext.capabilities.add[]',
    gives: 'more rights than containers have',
    when: isNot(...usualCapabilities),
    isOursInWorker: true,
  },
  {
    power: 'privileges',
    at: 'securityContext.seccompProfile.type',
    gives: 'every system call',
    when: isUnconfined,
    isOursInWorker: true,
  },
  {
    power: 'privileges',
    at: 'securityContext.procMount',
    gives: 'all of /proc',
    when: isNot('Default'),
  },
  ...contextRules,
];
