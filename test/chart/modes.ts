/** The ways to install the chart that tests go through. */
export const modes: Readonly<Record<string, object>> = {
  default: {},
  'external NATS': {
    nats: { mode: 'external', external: { url: 'tls://nats.example.com:4222' }, authSecret: 'our-nats' },
  },
  'two namespaces': { watchNamespaces: ['models', 'data'] },
  least: {
    crds: { install: false },
    operator: { replicas: 1, podDisruptionBudget: { enabled: false }, serviceAccount: { create: false } },
    nats: { persistence: { enabled: false } },
    rbac: { create: false, userRoles: { create: false } },
    networkPolicy: { enabled: false },
  },
  everything: {
    imageRegistry: 'registry.example.com/ml',
    imagePullSecrets: [{ name: 'pull' }],
    commonLabels: { team: 'ml' },
    commonAnnotations: { 'example.com/owner': 'ml' },
    watchNamespaces: ['models', 'data'],
    operator: {
      replicas: 3,
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { pool: 'system' },
      tolerations: [{ key: 'system', operator: 'Exists' }],
      extraEnv: [{ name: 'HTTPS_PROXY', value: 'http://proxy.example.com:3128' }],
      podLabels: { tier: 'control' },
      podAnnotations: { 'example.com/scrape': 'no' },
      serviceAccount: { annotations: { 'example.com/role': 'operator' } },
    },
    worker: {
      imagePullSecrets: [{ name: 'pull' }],
      httpsHosts: ['data.example.com', '*.hf.co'],
      nodeSelector: { pool: 'cpu' },
      labels: { team: 'ml' },
      annotations: { 'example.com/cost': 'training' },
      resources: { limits: { memory: '64Gi' } },
      cuda: {
        nodeSelector: { 'nvidia.com/gpu.present': 'true' },
        runtimeClassName: 'nvidia',
        tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists' }],
        resources: { limits: { 'nvidia.com/gpu': 1 } },
      },
    },
    nats: {
      persistence: { storageClassName: 'fast' },
      extraConfig: 'debug: false',
      podLabels: { tier: 'messages' },
      podAnnotations: { 'example.com/backup': 'yes' },
    },
    rbac: { userRoles: { aggregateToEdit: true } },
    networkPolicy: {
      metricsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }],
      apiServerCidrs: ['10.96.0.1/32'],
      natsFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'desks' } } }],
      workers: { enabled: true, stores: [{ ports: [{ port: 443 }] }] },
    },
    monitoring: {
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: {
        enabled: true,
        alertLabels: { team: 'ml' },
        runbookUrl: 'https://example.com/operations',
      },
      dashboard: { enabled: true, annotations: { grafana_folder: 'ML' } },
    },
  },
};
