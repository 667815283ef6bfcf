/** The Grafana dashboard: what is running, how the operator does, how the API server and NATS answer it. */

interface Query {
  readonly expr: string;
  readonly legend: string;
}

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly type: 'stat' | 'timeseries';
  readonly unit?: string;
  /** In columns of 24. */
  readonly width: number;
  readonly queries: readonly Query[];
}

/** Picks one release; every query has it. */
const at = 'namespace="$namespace", job="$job"';
const metric = (name: string, more = '') => `offsite_operator_${name}{${at}${more && `, ${more}`}}`;
const rate = (name: string, more = '') => `rate(${metric(`${name}`, more)}[$__rate_interval])`;
const quantile = (q: number, name: string, by: string) =>
  `histogram_quantile(${q}, sum by (le, ${by}) (${rate(`${name}_bucket`)}))`;
/** Of what happens a few times a day: over a day, and nothing (not NaN) where nothing happened. */
const dailyQuantile = (q: number, name: string, by: string) =>
  `histogram_quantile(${q}, sum by (le, ${by}) (increase(${metric(`${name}_bucket`)}[1d]))) >= 0`;

const rows: Readonly<Record<string, readonly Panel[]>> = {
  Runs: [
    {
      title: 'Resources by phase',
      description: 'How many there are now.',
      type: 'timeseries',
      width: 8,
      queries: [{ expr: `max by (kind, phase) (${metric('resources')})`, legend: '{{kind}} {{phase}}' }],
    },
    {
      title: 'Failures by reason',
      description:
        "BadSpec, BadData, BadModel and GateFailed are their authors' matter; the others the cluster's.",
      type: 'timeseries',
      width: 8,
      queries: [
        {
          expr: `sum by (kind, reason) (increase(${metric('failures_total')}[1h]))`,
          legend: '{{kind}} {{reason}}',
        },
      ],
    },
    {
      title: 'How long stages take',
      description:
        "From a Job's start to its end, retries and all, of those that ended in the last day: half, and 95 of 100.",
      type: 'timeseries',
      unit: 's',
      width: 8,
      queries: [
        { expr: dailyQuantile(0.5, 'stage_seconds', 'kind, stage'), legend: '{{kind}} {{stage}}, half' },
        { expr: dailyQuantile(0.95, 'stage_seconds', 'kind, stage'), legend: '{{kind}} {{stage}}, 95 %' },
      ],
    },
    {
      title: 'Longest without progress',
      description: 'Of the resources whose pods compute; a stage says something every few seconds.',
      type: 'timeseries',
      unit: 's',
      width: 10,
      queries: [{ expr: `max by (kind) (${metric('longest_silence_seconds')})`, legend: '{{kind}}' }],
    },
    {
      title: 'NATS heard',
      description: '1 while the leader is connected.',
      type: 'stat',
      width: 4,
      queries: [
        { expr: `${metric('nats_connected')} and on (pod) ${metric('leading')} == 1`, legend: '{{pod}}' },
      ],
    },
    {
      title: 'Status writes',
      description: 'progress: at most one every 2 s a resource, 20 a second in all.',
      type: 'timeseries',
      unit: 'wps',
      width: 10,
      queries: [
        { expr: `sum by (kind, writer) (${rate('status_writes_total')})`, legend: '{{kind}} {{writer}}' },
      ],
    },
  ],
  Operator: [
    {
      title: 'Leaders',
      description: 'Replicas that hold the lease: one.',
      type: 'stat',
      width: 4,
      queries: [{ expr: `sum(${metric('leading')})`, legend: '' }],
    },
    {
      title: 'Waiting to be reconciled',
      description: 'Keys in the queues; it should come back to 0 soon after each change.',
      type: 'timeseries',
      width: 10,
      queries: [{ expr: `sum by (controller) (${metric('queue_length')})`, legend: '{{controller}}' }],
    },
    {
      title: 'Time in the queue',
      description: 'How long 99 of 100 keys waited at most.',
      type: 'timeseries',
      unit: 's',
      width: 10,
      queries: [{ expr: quantile(0.99, 'queue_seconds', 'controller'), legend: '{{controller}}' }],
    },
    {
      title: 'Reconciles by result',
      description: 'error: tried again with backoff.',
      type: 'timeseries',
      unit: 'ops',
      width: 12,
      queries: [
        {
          expr: `sum by (controller, result) (${rate('reconciles_total')})`,
          legend: '{{controller}} {{result}}',
        },
      ],
    },
    {
      title: 'Time of a reconcile',
      description: 'How long 99 of 100 reconciles took at most.',
      type: 'timeseries',
      unit: 's',
      width: 12,
      queries: [{ expr: quantile(0.99, 'reconcile_seconds', 'controller'), legend: '{{controller}}' }],
    },
  ],
  'API server': [
    {
      title: 'Requests by status',
      description: '409 is normal now and then, 403 never; 0: no answer.',
      type: 'timeseries',
      unit: 'reqps',
      width: 8,
      queries: [{ expr: `sum by (verb, code) (${rate('api_requests_total')})`, legend: '{{verb}} {{code}}' }],
    },
    {
      title: 'Time of a request',
      description: 'How long 99 of 100 requests took at most.',
      type: 'timeseries',
      unit: 's',
      width: 8,
      queries: [{ expr: quantile(0.99, 'api_request_seconds', 'verb'), legend: '{{verb}}' }],
    },
    {
      title: 'Objects held, watches ended',
      description: 'What the informers cache, and how often a watch had to be taken up again.',
      type: 'timeseries',
      width: 8,
      queries: [
        { expr: `max by (kind) (${metric('cached_objects')})`, legend: '{{kind}}' },
        { expr: `sum by (reason) (${rate('watch_ends_total')})`, legend: 'watch ended: {{reason}}' },
      ],
    },
  ],
  Process: [
    {
      title: 'Memory',
      description: 'Resident memory of each replica.',
      type: 'timeseries',
      unit: 'bytes',
      width: 12,
      queries: [{ expr: `process_resident_memory_bytes{${at}}`, legend: '{{pod}}' }],
    },
    {
      title: 'CPU',
      description: 'Cores that each replica uses.',
      type: 'timeseries',
      width: 12,
      queries: [{ expr: `rate(process_cpu_seconds_total{${at}}[$__rate_interval])`, legend: '{{pod}}' }],
    },
  ],
};

/** Every expression of the dashboard, for tests. */
export const dashboardQueries = (): string[] =>
  Object.values(rows).flatMap((panels) => panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)));

export function dashboard(): object {
  return {
    uid: 'offsite-tuning',
    title: 'Offsite-tuning',
    tags: ['offsite-tuning'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        labelValues('namespace', 'label_values(offsite_operator_leading, namespace)'),
        labelValues('job', 'label_values(offsite_operator_leading{namespace="$namespace"}, job)'),
      ],
    },
    panels: panels(),
  };
}

const datasource = { type: 'prometheus', uid: '$' + '{datasource}' };

const labelValues = (name: string, query: string) => ({
  name,
  type: 'query',
  datasource,
  query: { query, refId: name },
  refresh: 2,
});

function panels(): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const [title, row] of Object.entries(rows)) {
    placed.push({ id: placed.length + 1, type: 'row', title, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    for (const panel of row) {
      if (x + panel.width > 24) {
        x = 0;
        y += 8;
      }
      placed.push(placedAt(panel, placed.length + 1, x, y));
      x += panel.width;
    }
    y += 8;
  }
  return placed;
}

function placedAt(
  { title, description, type, unit = 'short', width, queries }: Panel,
  id: number,
  x: number,
  y: number,
) {
  return {
    id,
    type,
    title,
    description,
    datasource,
    gridPos: { x, y, w: width, h: 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, i) => ({
      refId: String.fromCharCode(65 + i),
      datasource,
      expr,
      legendFormat: legend,
    })),
  };
}
