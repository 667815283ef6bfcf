import { z } from 'zod';
import { listPassedOn, strings, text } from './fields.ts';

const duration = z.string().regex(/^([0-9]+(ms|s|m|h|d|w))+$/);

const scraping = {
  interval: duration.default('30s').describe('How often the operator is scraped.'),
  scrapeTimeout: z
    .union([duration, z.literal('')])
    .default('')
    .describe("How long a scrape may take; Prometheus's own where empty."),
  labels: strings('More labels, where your Prometheus selects by them.'),
  annotations: strings('More annotations.'),
  relabelings: listPassedOn('Relabelings of the target, as the Prometheus Operator has them.'),
  metricRelabelings: listPassedOn('Relabelings of what was scraped.'),
};

export const monitoring = z
  .strictObject({
    serviceMonitor: z
      .strictObject({
        enabled: z.boolean().default(false).describe('Needs the Prometheus Operator.'),
        ...scraping,
      })
      .prefault({})
      .describe('A ServiceMonitor for the operator.'),
    podMonitor: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe('Needs the Prometheus Operator; instead of a ServiceMonitor, with the same series.'),
        ...scraping,
      })
      .prefault({})
      .describe('A PodMonitor for the operator.'),
    prometheusRule: z
      .strictObject({
        enabled: z.boolean().default(false).describe('Needs the Prometheus Operator.'),
        labels: strings('More labels, where your Prometheus selects by them.'),
        job: text(
          "The label `job` of the operator's series, where neither of the chart's monitors has them scraped.",
        ),
        alertLabels: strings('More labels of every alert, such as a team.'),
        stalledAfter: z
          .int()
          .min(60)
          .default(3600)
          .describe('Seconds without progress after which a running resource counts as stalled.'),
        runbookUrl: z
          .string()
          .default('')
          .describe('Address of docs/operations.md as you publish it; the anchor of each alert is added.'),
      })
      .prefault({})
      .describe('Alerts; docs/operations.md says what to do at each.'),
    dashboard: z
      .strictObject({
        enabled: z.boolean().default(false).describe("A ConfigMap for Grafana's dashboard sidecar."),
        labels: z
          .record(z.string(), z.string())
          .default({ grafana_dashboard: '1' })
          .describe('Labels by which the sidecar finds it.'),
        annotations: strings("Annotations, such as the sidecar's folder."),
        namespace: z
          .string()
          .default('')
          .describe("Where the sidecar looks; the release's namespace where empty."),
      })
      .prefault({})
      .describe('A Grafana dashboard.'),
  })
  .prefault({})
  .describe('What Prometheus and Grafana see.');
