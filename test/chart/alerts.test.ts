import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { type Job, label, type Pod } from '../../operator/jobs/index.ts';
import type { KubeObject } from '../../operator/runtime/index.ts';
import { dashboardQueries } from '../../scripts/chart/dashboard.ts';
import { ofKind, release, render } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';
import { Replica, record } from '../support/chart/recorder.ts';

// The alerts as the chart makes them, on what the operator's own metrics say minute by minute, judged by Prometheus.
const script = fileURLToPath(new URL('../../scripts/setup/promtool.sh', import.meta.url));
const promtool = execFileSync(script, { encoding: 'utf8' }).trim();
const directory = mkdtempSync(join(tmpdir(), 'offsite-alerts-'));
const rulesOf = (values: object) => ofKind(render(values), 'PrometheusRule')[0]!['spec'];
const rules = rulesOf(modes['everything']!);
writeFileSync(join(directory, 'rules.yaml'), stringify(rules));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const minute = 60_000;
const start = Date.parse('2026-01-01T00:00:00Z');
let leader: Replica;
let other: Replica;

beforeEach(() => {
  [leader, other] = [new Replica('operator-a'), new Replica('operator-b')];
  leader.runtime.leading.set(1);
});

const tune = (status: object): KubeObject => ({
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind: 'OffsiteTune',
  metadata: { name: 'words', namespace: 'data', uid: 'u' },
  status,
});
const failed = (reason: string) =>
  tune({ phase: 'Failed', conditions: [{ type: 'Failed', status: 'True', reason }] });
const fail = (reason: string) => leader.operator.wroteStatus(tune({ phase: 'Running' }), failed(reason));
const between = (at: number, from: number, to: number) => at >= from && at < to;
const reconcile = (result: 'success' | 'error', times = 1) =>
  leader.runtime.reconciles.labels('OffsiteTune', result).inc(times);

interface Scenario {
  readonly what: string;
  readonly act: (at: number) => void;
  /** Minutes at which the alert fires, and at which it does not. */
  readonly fires: readonly number[];
  readonly quiet: readonly number[];
}

const scenarios: Readonly<Record<string, readonly Scenario[]>> = {
  OffsiteOperatorDown: [
    {
      what: 'all replicas are gone',
      act: (at) =>
        Object.assign(leader, { up: !between(at, 10, 30) }) &&
        Object.assign(other, { up: !between(at, 10, 30) }),
      fires: [20, 29],
      quiet: [5, 13, 35],
    },
    {
      what: 'one of two is gone',
      act: (at) => Object.assign(other, { up: at < 10 }),
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteLeaderless: [
    {
      what: 'nobody holds the lease',
      act: (at) => leader.runtime.leading.set(between(at, 10, 30) ? 0 : 1),
      fires: [15, 29],
      quiet: [5, 11, 31],
    },
    {
      what: 'two say that they hold it',
      act: (at) => other.runtime.leading.set(between(at, 10, 30) ? 1 : 0),
      fires: [15],
      quiet: [31],
    },
  ],
  OffsiteQueueStuck: [
    {
      what: 'keys wait and nobody takes them',
      act: (at) => {
        leader.runtime.queueLength.labels('OffsiteTune').set(at >= 10 ? 3 : 0);
        if (!between(at, 10, 60)) reconcile('success', 2);
      },
      fires: [40, 59],
      quiet: [9, 20, 75],
    },
    {
      what: 'a long queue that is worked on',
      act: () => {
        leader.runtime.queueLength.labels('OffsiteTune').set(500);
        reconcile('success', 20);
      },
      fires: [],
      quiet: [30, 60],
    },
    {
      what: 'a standby that holds keys',
      act: () => other.runtime.queueLength.labels('OffsiteTune').set(3),
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteReconcileErrors: [
    {
      what: 'half of them fail',
      act: (at) => {
        reconcile('success', 5);
        if (between(at, 10, 50)) reconcile('error', 5);
        else reconcile('error', 0);
      },
      fires: [40],
      quiet: [9, 20, 75],
    },
    {
      what: 'one of fifty fails',
      act: (at) => {
        reconcile('success', 49);
        reconcile('error', at % 50 === 0 ? 1 : 0);
      },
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteApiForbidden: [
    {
      what: 'a right is missing',
      act: (at) => between(at, 10, 40) && leader.runtime.rightsMissing.labels('create', 'Job').inc(),
      fires: [30],
      quiet: [9, 75],
    },
    {
      what: "a tenant's quota is used up",
      act: () => leader.runtime.requests.labels('create', 'Job', '403').inc(),
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteNatsDisconnected: [
    {
      what: 'the leader does not hear it',
      act: (at) => {
        leader.connected = !between(at, 10, 30);
      },
      fires: [20, 29],
      quiet: [9, 13, 31],
    },
    {
      what: 'a standby does not listen',
      act: () => {
        other.connected = false;
      },
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteNatsStoreFull: [
    {
      what: 'the store takes nothing',
      act: (at) => {
        leader.store = { accepts: !between(at, 10, 30), streams: [] };
      },
      fires: [20, 29],
      quiet: [9, 13, 31],
    },
    {
      what: 'a stream that is full and drops its oldest, and a standby that once led',
      act: () => {
        leader.store = { accepts: true, streams: [{ name: 'OFFSITE', bytes: 100, limitBytes: 100 }] };
        other.store = { accepts: false, streams: [] };
      },
      fires: [],
      quiet: [30, 60],
    },
  ],
  OffsiteRunsFailed: [
    {
      what: 'a store was away',
      act: (at) => at === 10 && fail('StoreUnavailable'),
      fires: [12, 60],
      quiet: [9, 75],
    },
    { what: 'a Job failed', act: (at) => at === 10 && fail('JobFailed'), fires: [12], quiet: [75] },
    { what: "an author's mistake", act: (at) => at === 10 && fail('BadSpec'), fires: [], quiet: [12, 60] },
  ],
  OffsiteRunStalled: [
    {
      what: 'a pod computes and says nothing',
      act: (at) => {
        const said = new Date(start + (at < 90 ? 5 : at) * minute).toISOString();
        follow({ progress: { lastUpdatedTime: said } }, { running: { startedAt: iso(0) } });
      },
      fires: [75, 89],
      quiet: [60, 68, 95],
    },
    {
      what: 'the next stage waits in a queue',
      act: () => follow({ progress: { lastUpdatedTime: iso(0) } }, { waiting: {} }),
      fires: [],
      quiet: [75, 100],
    },
    {
      what: 'NATS is away, and with it all progress',
      act: () => {
        leader.connected = false;
        follow({ progress: { lastUpdatedTime: iso(0) } }, { running: { startedAt: iso(0) } });
      },
      fires: [],
      quiet: [75, 100],
    },
  ],
};

const iso = (at: number) => new Date(start + at * minute).toISOString();

/** A running tune, its Job and its pod, as both replicas see them. */
function follow(status: object, worker: object): void {
  for (const replica of [leader, other]) {
    replica.tunes = [tune({ phase: 'Running', startTime: iso(0), ...status })];
    replica.jobs = [{ metadata: { name: 'j', uid: 'j' } } as Job];
    replica.pods = [{ status: { containerStatuses: [{ name: 'worker', state: worker }] } } as unknown as Pod];
  }
}

interface Expectation {
  readonly expr: string;
  readonly eval_time: string;
  readonly exp_samples: readonly { labels: string; value: number }[];
}

/** Lets Prometheus's rule tester say whether this holds over what was recorded. */
async function judge(act: Scenario['act'], expectations: readonly Expectation[]): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'], now: start });
  const series = await record([leader, other], 110, (at) => {
    vi.setSystemTime(start + at * minute);
    act(at);
  }).finally(() => vi.useRealTimers());
  const test = { interval: '1m', input_series: series, promql_expr_test: expectations };
  const file = join(directory, 'test.yaml');
  const all = { rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: [test] };
  writeFileSync(file, stringify(all, { aliasDuplicateObjects: false }));
  const { status, stdout, stderr } = spawnSync(promtool, ['test', 'rules', file], { encoding: 'utf8' });
  expect(status, stdout + stderr).toBe(0);
}

const alertIs = (alert: string, at: number, value: 0 | 1): Expectation => ({
  expr: `clamp_max(count(ALERTS{alertname="${alert}", alertstate="firing"}), 1) or vector(0)`,
  eval_time: `${at}m`,
  exp_samples: [{ labels: '{}', value }],
});

it('Prometheus takes the rules', () => {
  const { status, stderr } = spawnSync(promtool, ['check', 'rules', join(directory, 'rules.yaml')], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
});

it('there is a scenario for each alert, with a minute at which it fires and one at which it has cleared', () => {
  const names = rules.groups.flatMap(({ rules }: { rules: { alert: string }[] }) =>
    rules.map(({ alert }) => alert),
  );
  expect(Object.keys(scenarios).sort()).toEqual(names.sort());
  for (const [name, [first]] of Object.entries(scenarios)) {
    const [firing, clear] = [first?.fires.at(-1) ?? 0, first?.quiet.at(-1) ?? 0];
    expect(firing, name).toBeGreaterThan(0);
    expect(clear, name).toBeGreaterThan(firing);
  }
});

describe.each(Object.entries(scenarios))('%s', (alert, list) => {
  it.each(list.map((scenario) => [scenario.what, scenario] as const))(
    '%s',
    async (_, { act, fires, quiet }) => {
      await judge(act, [
        ...fires.map((at) => alertIs(alert, at, 1)),
        ...quiet.map((at) => alertIs(alert, at, 0)),
      ]);
    },
  );
});

describe('OffsiteOperatorDown, which an absent series makes', () => {
  const prometheusRule = { enabled: true };
  const exprOf = (monitoring: object): string | undefined =>
    rulesOf({ monitoring }).groups[0].rules.find(
      ({ alert }: { alert: string }) => alert === 'OffsiteOperatorDown',
    )?.expr;

  it('is not there where nothing has the operator scraped', () =>
    expect(exprOf({ prometheusRule })).toBeUndefined());

  it('is there with a monitor of the chart, or with the job that somebody else scrapes it as', () => {
    expect(exprOf({ prometheusRule, podMonitor: { enabled: true } })).toContain(
      `job="${release.name}-operator"`,
    );
    expect(exprOf({ prometheusRule: { ...prometheusRule, job: 'pods' } })).toContain('job="pods"');
  });
});

it('the panel of stages shows what took how long in the last day, and nothing where nothing ended', async () => {
  const queries = dashboardQueries()
    .filter((query) => query.includes('stage_seconds'))
    .map((query) =>
      query.replaceAll('$namespace', release.namespace).replaceAll('$job', `${release.name}-operator`),
    );
  expect(queries).toHaveLength(2);
  const ended = (at: number, condition: object[]): Job =>
    ({
      metadata: { name: 'j', labels: { [label.ownerKind]: 'OffsiteTune', [label.stage]: 'tune' } },
      status: { startTime: iso(at), completionTime: iso(at + 0.75), conditions: condition },
    }) as unknown as Job;
  const one = '{kind="OffsiteTune",stage="tune"}';
  await judge(
    (at) =>
      at === 10 &&
      leader.operator.jobChanged(ended(at, [{ type: 'Complete', status: 'True' }]), ended(at, [])),
    [
      ...queries.map((expr) => ({ expr, eval_time: '5m', exp_samples: [] })),
      { expr: queries[0]!, eval_time: '100m', exp_samples: [{ labels: one, value: 45 }] },
      { expr: queries[1]!, eval_time: '100m', exp_samples: [{ labels: one, value: 58.5 }] },
    ],
  );
});
