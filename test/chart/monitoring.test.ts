import { parser } from '@prometheus-io/lezer-promql';
import { collectDefaultMetrics } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { Caches } from '../../operator/jobs/index.ts';
import { OperatorMetrics } from '../../operator/metrics.ts';
import { RuntimeMetrics } from '../../operator/runtime/index.ts';
import { one, release, render } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';

const manifests = render(modes['everything']);

interface Alert {
  alert: string;
  expr: string;
  for: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

const alerts = one(manifests, 'PrometheusRule')['spec'].groups.flatMap(
  ({ rules }: { rules: Alert[] }) => rules,
) as Alert[];
const dashboard = JSON.parse(
  one(manifests, 'ConfigMap', `${release.name}-dashboard`)['data']['offsite-tuning.json'],
);
const panels = dashboard.panels.filter(({ type }: { type: string }) => type !== 'row') as {
  title: string;
  description: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets: { expr: string; legendFormat: string }[];
}[];

const { registry } = new RuntimeMetrics();
const none = { list: () => [] };
const caches = { resources: { EmulatorBuild: none, OffsiteTune: none, PlugIn: none } };
new OperatorMetrics(registry, caches as unknown as Caches, () => true);
collectDefaultMetrics({ register: registry });

/** The operator's series with their label names, and `up`, which scraping makes. */
async function series(): Promise<Map<string, string[]>> {
  const known = new Map<string, string[]>([['up', []]]);
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    const labels = (registry.getSingleMetric(name) as unknown as { labelNames: string[] }).labelNames;
    const suffixes = (type as unknown as string) === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const suffix of suffixes)
      known.set(name + suffix, suffix === '_bucket' ? [...labels, 'le'] : labels);
  }
  return known;
}

/** Names and labels of a PromQL expression. @throws where it is none */
function read(expression: string): { metrics: string[]; labels: string[] } {
  // As Grafana fills them in.
  const text = expression.replaceAll('$__rate_interval', '5m');
  const metrics: string[] = [];
  const labels: string[] = [];
  parser.parse(text).iterate({
    enter(node) {
      const word = text.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${text}`);
      if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector') metrics.push(word);
      if (node.name === 'LabelName') labels.push(word);
    },
  });
  return { metrics, labels };
}

/** Labels that Prometheus adds to what it scrapes. */
const scraped = ['namespace', 'job', 'pod', 'instance'];

async function expectKnown(expression: string): Promise<void> {
  const known = await series();
  const { metrics, labels } = read(expression);
  expect(metrics.length, expression).toBeGreaterThan(0);
  for (const metric of metrics) expect([...known.keys()], expression).toContain(metric);
  const possible = [...scraped, ...metrics.flatMap((metric) => known.get(metric) ?? [])];
  for (const label of labels) expect(possible, expression).toContain(label);
}

describe.each(alerts.map((alert) => [alert.alert, alert] as const))('the alert %s', (name, alert) => {
  it('asks for series that the operator has', () => expectKnown(alert.expr));

  it('is about this release', () => {
    expect(alert.expr).toContain(`namespace="${release.namespace}", job="${release.name}-operator"`);
    expect(alert.expr).not.toMatch(/[A-Z]{2,}/);
  });

  it('says what it is and what to do, and where more is written', async () => {
    expect(alert.labels).toMatchObject({ team: 'ml' });
    expect(['critical', 'warning']).toContain(alert.labels['severity']);
    expect(alert.annotations['summary']).toMatch(/\.$/);
    expect(alert.annotations['description']!.length).toBeGreaterThan(80);
    expect(alert.annotations['runbook_url']).toBe(`https://example.com/operations#${name.toLowerCase()}`);
    const { labels } = read(alert.expr);
    const known = [...labels, ...[...(await series()).values()].flat()];
    for (const [, label] of Object.values(alert.annotations)
      .join()
      .matchAll(/\$labels\.(\w+)/g))
      expect(known).toContain(label);
  });
});

describe.each(panels.map((panel) => [panel.title, panel] as const))('the panel %s', (_, panel) => {
  it('asks for series that the operator has', async () => {
    for (const { expr } of panel.targets) await expectKnown(expr);
  });

  it('names labels that its query leaves', () => {
    for (const { expr, legendFormat } of panel.targets)
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect([...read(expr).labels, ...scraped]).toContain(label);
  });

  it('stands on the page beside the others', () => {
    const { x, y, w, h } = panel.gridPos;
    expect(x + w).toBeLessThanOrEqual(24);
    const over = panels.filter(
      ({ gridPos: other }) =>
        x < other.x + other.w && other.x < x + w && y < other.y + other.h && other.y < y + h,
    );
    expect(over.map(({ title }) => title)).toEqual([panel.title]);
  });
});
