import { describe, expect, it } from 'vitest';
import type { Json } from '../../../../../operator/jobs/json.ts';
import { type Power, powers } from '../../../../../operator/jobs/spec/powers.ts';
import { powerProblems } from '../../../../../operator/jobs/spec/template-powers.ts';

const fieldsOf = (template: unknown, installed: Json = {}, allowed: readonly Power[] = []) =>
  powerProblems(template, installed, allowed).map(({ field }) => field);

const pod = (spec: object) => ({ spec });
const volumes = (...list: object[]) =>
  pod({ volumes: list.map((volume, i) => ({ name: `v${i}`, ...volume })) });
const beside = (container: object, list = 'containers') =>
  pod({ [list]: [{ name: 'beside', image: 'a', ...container }] });
const context = (securityContext: object) => beside({ securityContext });

const sources = (...list: object[]) => ({ projected: { sources: list } });
const token = { serviceAccountToken: { path: 'token', expirationSeconds: 3600 } };
const certificate = { podCertificate: { signerName: 'a.example.com/b', keyType: 'ED25519' } };

/** What each power is asked for by, and the field below `spec.template.` that is named. */
const refused: [Power, object, string][] = [
  ['serviceAccounts', pod({ serviceAccountName: 'deployer' }), 'spec.serviceAccountName'],
  ['serviceAccounts', pod({ serviceAccount: 'deployer' }), 'spec.serviceAccount'],
  [
    'serviceAccounts',
    volumes({ emptyDir: {} }, { emptyDir: {} }, sources({ configMap: { name: 'a' } }, token)),
    'spec.volumes[2].projected.sources[1].serviceAccountToken',
  ],
  ['serviceAccounts', volumes(sources(certificate)), 'spec.volumes[0].projected.sources[0].podCertificate'],
  ['hostNamespaces', pod({ hostNetwork: true }), 'spec.hostNetwork'],
  ['hostNamespaces', pod({ hostPID: true }), 'spec.hostPID'],
  ['hostNamespaces', pod({ hostIPC: true }), 'spec.hostIPC'],
  [
    'hostNamespaces',
    beside({ ports: [{ containerPort: 80, hostPort: 80 }] }),
    'spec.containers[0].ports[0].hostPort',
  ],
  [
    'hostNamespaces',
    beside({ livenessProbe: { httpGet: { host: '169.254.169.254', port: 80 } } }),
    'spec.containers[0].livenessProbe.httpGet.host',
  ],
  [
    'hostNamespaces',
    beside({ lifecycle: { postStart: { tcpSocket: { host: '10.0.0.1', port: 22 } } } }),
    'spec.containers[0].lifecycle.postStart.tcpSocket.host',
  ],
  ['hostPaths', volumes({ hostPath: { path: '/' } }), 'spec.volumes[0].hostPath'],
  ['privileges', context({ privileged: true }), 'spec.containers[0].securityContext.privileged'],
  [
    'privileges',
    beside({ securityContext: { privileged: true } }, 'initContainers'),
    'spec.initContainers[0].securityContext.privileged',
  ],
  [
    'privileges',
    beside({ securityContext: { privileged: true } }, 'ephemeralContainers'),
    'spec.ephemeralContainers[0].securityContext.privileged',
  ],
  [
    'privileges',
    context({ capabilities: { add: ['CHOWN', 'SYS_ADMIN'] } }),
    'spec.containers[0].securityContext.capabilities.add[1]',
  ],
  [
    'privileges',
    context({ seccompProfile: { type: 'Unconfined' } }),
    'spec.containers[0].securityContext.seccompProfile.type',
  ],
  [
    'privileges',
    context({ appArmorProfile: { type: 'Unconfined' } }),
    'spec.containers[0].securityContext.appArmorProfile.type',
  ],
  [
    'privileges',
    pod({ securityContext: { appArmorProfile: { type: 'Unconfined' } } }),
    'spec.securityContext.appArmorProfile.type',
  ],
  ['privileges', context({ procMount: 'Unmasked' }), 'spec.containers[0].securityContext.procMount'],
  [
    'privileges',
    pod({ containers: [{ name: 'worker', securityContext: { procMount: 'Unmasked' } }] }),
    'spec.containers[0].securityContext.procMount',
  ],
  [
    'privileges',
    context({ seLinuxOptions: { type: 'spc_t' } }),
    'spec.containers[0].securityContext.seLinuxOptions.type',
  ],
  [
    'privileges',
    pod({ securityContext: { seLinuxOptions: { user: 'root' } } }),
    'spec.securityContext.seLinuxOptions.user',
  ],
  [
    'privileges',
    pod({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }),
    'spec.securityContext.sysctls[0].name',
  ],
  [
    'privileges',
    context({ windowsOptions: { hostProcess: true } }),
    'spec.containers[0].securityContext.windowsOptions.hostProcess',
  ],
  [
    'privileges',
    { metadata: { annotations: { 'container.apparmor.security.beta.kubernetes.io/worker': 'unconfined' } } },
    'metadata.annotations[container.apparmor.security.beta.kubernetes.io/worker]',
  ],
];

describe("a resource's template", () => {
  it.each(refused)('is refused %s: %j', (power, template, field) => {
    expect(powerProblems(template, {}, [])).toEqual([
      {
        field: `spec.template.${field}`,
        reason: expect.stringMatching(
          new RegExp(
            `^gives the pod .*; leave it out, or ask for the chart's worker.allowInTemplates.${power}$`,
          ),
        ),
      },
    ]);
    expect(fieldsOf(template, {}, [power])).toEqual([]);
    const others = powers.filter((other) => other !== power);
    expect(fieldsOf(template, {}, others)).toEqual([`spec.template.${field}`]);
  });

  it('may ask for what is of its namespace, of the scheduler, or harmless', () => {
    const template = {
      metadata: { annotations: { a: 'unconfined' }, labels: { b: 'c' } },
      spec: {
        serviceAccountName: 'default',
        hostNetwork: false,
        hostPID: null,
        hostUsers: false,
        nodeName: 'node-1',
        priorityClassName: 'low',
        shareProcessNamespace: true,
        runtimeClassName: 'nvidia',
        imagePullSecrets: [{ name: 'pull' }],
        securityContext: {
          fsGroup: 1,
          sysctls: [{ name: 'net.ipv4.tcp_syncookies', value: '1' }],
          seLinuxOptions: { type: 'container_t', level: 's0:c1,c2' },
          appArmorProfile: { type: 'RuntimeDefault' },
        },
        volumes: [
          {
            name: 'a',
            ...sources({ secret: { name: 's' } }, { configMap: { name: 'c' } }, { downwardAPI: {} }),
          },
          { name: 'b', persistentVolumeClaim: { claimName: 'c' } },
          { name: 'c', emptyDir: {} },
        ],
        initContainers: [{ name: 'first', securityContext: { runAsUser: 0, privileged: false } }],
        containers: [
          // What the operator sets over a template for its own container.
          {
            name: 'worker',
            securityContext: {
              privileged: true,
              capabilities: { add: ['SYS_ADMIN'] },
              seccompProfile: { type: 'Unconfined' },
            },
          },
          {
            name: 'beside',
            ports: [{ containerPort: 80, hostPort: 0 }],
            livenessProbe: { httpGet: { port: 80, path: '/', host: '' } },
            securityContext: {
              capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
              procMount: 'Default',
            },
          },
        ],
      },
    };
    expect(powerProblems(template, {}, [])).toEqual([]);
  });

  it.each([
    [undefined],
    ['x'],
    [[]],
    [{ spec: [] }],
    [{ metadata: 1, spec: { volumes: { hostPath: {} }, containers: ['x', null, 7, { ports: 'y' }] } }],
  ])('of a wrong form is left to what checks the form: %j', (template) => {
    expect(powerProblems(template, {}, [])).toEqual([]);
  });
});

describe("what the installation's own template has of the node", () => {
  const installed: Json = {
    spec: {
      hostNetwork: true,
      volumes: [
        { name: 'models', hostPath: { path: '/models' } },
        { name: 'token', ...sources(token) },
        { name: 'plain', emptyDir: {} },
      ],
      containers: [
        { name: 'worker', volumeMounts: [{ name: 'models', mountPath: '/models', readOnly: true }] },
        { name: 'proxy', image: 'proxy' },
        { name: 'tuner', image: 'tuner', securityContext: { privileged: true } },
      ],
      initContainers: [{ name: 'fill', image: 'fill', volumeMounts: [{ name: 'models', mountPath: '/m' }] }],
    },
  };

  it('needs no leave, also where a resource adds to the worker and to plain containers', () => {
    const template = pod({
      containers: [
        { name: 'worker', env: [{ name: 'A', value: 'b' }] },
        { name: 'proxy', image: 'other' },
      ],
    });
    expect(fieldsOf(template, installed)).toEqual([]);
  });

  it.each<[string, object, string, Power]>([
    [
      'a privileged container',
      pod({ containers: [{ name: 'tuner', image: 'mine' }] }),
      'spec.containers[0]',
      'privileges',
    ],
    [
      'a container with files of the node',
      pod({ initContainers: [{ name: 'fill', command: ['sh'] }] }),
      'spec.initContainers[0]',
      'hostPaths',
    ],
    [
      'a volume of the node',
      pod({ containers: [{ name: 'worker', volumeMounts: [{ name: 'models', mountPath: '/rw' }] }] }),
      'spec.containers[0].volumeMounts[0]',
      'hostPaths',
    ],
    [
      'a token',
      pod({
        containers: [{ name: 'mine', volumeMounts: [{ name: 'a' }, { name: 'token', mountPath: '/t' }] }],
      }),
      'spec.containers[0].volumeMounts[1]',
      'serviceAccounts',
    ],
  ])('is not passed on: %s', (_, template, field, power) => {
    expect(fieldsOf(template, installed)).toEqual([`spec.template.${field}`]);
    expect(fieldsOf(template, installed, [power])).toEqual([]);
  });

  it('is no more where the resource puts a volume of its own in its place', () => {
    const template = pod({
      volumes: [{ name: 'models', emptyDir: {} }],
      containers: [{ name: 'worker', volumeMounts: [{ name: 'models', mountPath: '/rw' }] }],
    });
    expect(fieldsOf(template, installed)).toEqual([]);
  });
});

describe('a privileged container of the installation', () => {
  const installed: Json = {
    spec: {
      securityContext: { fsGroup: 1 },
      volumes: [
        { name: 'host', hostPath: { path: '/opt' } },
        { name: 'tools', configMap: { name: 'tools' } },
        { name: 'other', emptyDir: {} },
      ],
      containers: [
        {
          name: 'helper',
          image: 'h',
          securityContext: { privileged: true },
          command: ['/host/setup.sh'],
          volumeMounts: [
            { name: 'host', mountPath: '/host' },
            { name: 'tools', mountPath: '/tools' },
          ],
        },
      ],
    },
  };

  it.each<[object, string, string]>([
    [
      { volumes: [{ name: 'host', configMap: { name: 'evil', defaultMode: 0o755 } }] },
      'spec.volumes[0]',
      "another volume host for container helper of the installation's template",
    ],
    [
      {
        volumes: [
          { name: 'mine', emptyDir: {} },
          { name: 'tools', emptyDir: {} },
        ],
      },
      'spec.volumes[1]',
      "another volume tools for container helper of the installation's template",
    ],
    ...[
      { shareProcessNamespace: true },
      { securityContext: { runAsUser: 0 } },
      { securityContext: null },
      { hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }] },
      { dnsConfig: { nameservers: ['10.0.0.1'] } },
      { dnsPolicy: 'None' },
    ].map((spec): [object, string, string] => [
      spec,
      `spec.${Object.keys(spec)[0]}`,
      "what container helper of the installation's template would have, too",
    ]),
  ])('is neither given other content nor entered: %j', (spec, field, gives) => {
    expect(powerProblems({ spec }, installed, ['hostPaths'])).toEqual([
      {
        field: `spec.template.${field}`,
        reason: `gives the pod ${gives}; leave it out, or ask for the chart's worker.allowInTemplates.privileges`,
      },
    ]);
    expect(powerProblems({ spec }, installed, ['hostPaths', 'privileges'])).toEqual([]);
  });

  it('leaves a resource what the container does not see, and what is as it was', () => {
    const spec = {
      securityContext: { fsGroup: 1 },
      volumes: [{ name: 'other', configMap: { name: 'c' } }],
      containers: [{ name: 'beside', volumeMounts: [{ name: 'other', mountPath: '/o' }] }],
    };
    expect(powerProblems({ spec }, installed, [])).toEqual([]);
  });
});

describe('of a container or volume with several powers', () => {
  const hostPort = { ports: [{ containerPort: 9, hostPort: 9 }] };
  const privileged = { securityContext: { privileged: true } };
  const mounting = (...names: string[]) => ({
    volumeMounts: names.map((name) => ({ name, mountPath: `/${name}` })),
  });
  const init = (...initContainers: object[]) => ({ initContainers });
  const volumes = [
    { name: 'token', ...sources(token) },
    { name: 'node', hostPath: { path: '/var/lib' } },
  ];

  it.each<[string, object, object, string, Power[]]>([
    [
      'another image in a container that has two',
      init({ name: 'agent', ...hostPort, ...privileged }),
      init({ name: 'agent', image: 'mine' }),
      'spec.initContainers[0]',
      ['hostNamespaces', 'privileges'],
    ],
    [
      'another image in a container that mounts two',
      { volumes, ...init({ name: 'cache', ...mounting('token', 'node') }) },
      init({ name: 'cache', image: 'mine' }),
      'spec.initContainers[0]',
      ['serviceAccounts', 'hostPaths'],
    ],
    [
      'another image in a container that has one and mounts one',
      { volumes, ...init({ name: 'cache', ...hostPort, ...mounting('node') }) },
      init({ name: 'cache', image: 'mine' }),
      'spec.initContainers[0]',
      ['hostNamespaces', 'hostPaths'],
    ],
    ...[{ shareProcessNamespace: true }, { hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }] }].map(
      (spec): [string, object, object, string, Power[]] => [
        `${Object.keys(spec)[0]} beside two containers`,
        init({ name: 'a', ...hostPort }, { name: 'b', ...privileged }),
        spec,
        `spec.${Object.keys(spec)[0]}`,
        ['hostNamespaces', 'privileges'],
      ],
    ),
    [
      'another volume for two containers',
      {
        volumes: [{ name: 'tools', emptyDir: {} }],
        ...init(
          { name: 'b', ...privileged, ...mounting('tools') },
          { name: 'a', ...hostPort, ...mounting('tools') },
        ),
      },
      { volumes: [{ name: 'tools', configMap: { name: 'mine' } }] },
      'spec.volumes[0]',
      ['privileges', 'hostNamespaces'],
    ],
  ])('each is asked for: %s', (_, installed, spec, field, needed) => {
    const problems = (...allowed: Power[]) => powerProblems({ spec }, { spec: installed }, allowed);
    expect(problems().map(({ field }) => field)).toEqual(needed.map(() => `spec.template.${field}`));
    for (const power of needed) {
      const others = needed.filter((other) => other !== power);
      expect(problems(...others)).toEqual([
        {
          field: `spec.template.${field}`,
          reason: expect.stringMatching(`worker.allowInTemplates.${power}$`),
        },
      ]);
    }
    expect(problems(...needed)).toEqual([]);
  });
});

describe('a list of containers that a resource takes away as a whole', () => {
  const firewall = { name: 'firewall', securityContext: { capabilities: { add: ['NET_ADMIN'] } } };
  const spec = { initContainers: null };

  it('is refused where one of them has powers', () => {
    const installed = { spec: { initContainers: [{ name: 'plain' }, firewall] } };
    expect(powerProblems({ spec }, installed, ['hostPaths'])).toEqual([
      {
        field: 'spec.template.spec.initContainers',
        reason:
          "gives the pod no container firewall of the installation's template; leave it out, or ask for the " +
          "chart's worker.allowInTemplates.privileges",
      },
    ]);
    expect(powerProblems({ spec }, installed, ['privileges'])).toEqual([]);
  });

  it('may go where none has, and where there is none', () => {
    expect(powerProblems({ spec }, { spec: { initContainers: [{ name: 'plain' }] } }, [])).toEqual([]);
    expect(powerProblems({ spec }, { spec: { containers: [firewall] } }, [])).toEqual([]);
  });
});

it('what comes of a template is looked at, too, should it be other than what it said', () => {
  let reads = 0;
  const spec = {
    get hostNetwork() {
      reads += 1;
      return reads > 1;
    },
  };
  expect(powerProblems({ spec }, { spec: { hostPID: true } }, [])).toEqual([
    {
      field: 'spec.template',
      reason:
        "gives the pod the node's network (as its spec.hostNetwork); leave it out, or ask for the chart's " +
        'worker.allowInTemplates.hostNamespaces',
    },
  ]);
});
