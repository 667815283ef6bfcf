import type { Registry } from 'prom-client';
import type { Caches, Job, Pod, Reports } from '../../../operator/jobs/index.ts';
import { OperatorMetrics } from '../../../operator/metrics.ts';
import { type KubeObject, RuntimeMetrics } from '../../../operator/runtime/index.ts';
import { release } from './helm.ts';

/** Series as promtool reads them: one value a minute, `_` where there was none. */
export interface Series {
  series: string;
  values: string;
}

/** A replica of the operator with the metrics that it really has, over objects that a test gives it. */
export class Replica {
  readonly runtime = new RuntimeMetrics();
  readonly operator: OperatorMetrics;
  /** Whether its process answers. */
  up = true;
  connected = true;
  store: Reports['store'] = undefined;
  tunes: KubeObject[] = [];
  jobs: Job[] = [];
  pods: Pod[] = [];
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    const none = { list: () => [], byIndex: () => [] };
    const caches = {
      resources: { EmulatorBuild: none, OffsiteTune: { list: () => this.tunes }, PlugIn: none },
      jobs: { byIndex: () => this.jobs },
      pods: { byIndex: () => this.pods },
    };
    this.operator = new OperatorMetrics(
      this.registry,
      caches as unknown as Caches,
      () => this.connected,
      () => this.store,
    );
  }

  get registry(): Registry {
    return this.runtime.registry;
  }
}

/**
 * What Prometheus would have scraped.
 * @param act what happens in each minute, from 0
 */
export async function record(
  replicas: readonly Replica[],
  minutes: number,
  act: (minute: number) => void,
): Promise<Series[]> {
  const columns = new Map<string, string[]>();
  const note = (minute: number, series: string, value: number) => {
    const values = columns.get(series) ?? [];
    columns.set(series, values);
    while (values.length < minute) values.push('_');
    values[minute] = String(value);
  };
  for (let minute = 0; minute < minutes; minute++) {
    act(minute);
    for (const replica of replicas) {
      const scraped = { namespace: release.namespace, job: `${release.name}-operator`, pod: replica.name };
      note(minute, seriesOf('up', scraped), Number(replica.up));
      if (!replica.up) continue;
      for (const { name, values } of await replica.registry.getMetricsAsJSON())
        for (const { value, labels, ...rest } of values) {
          const own = (rest as { metricName?: string }).metricName ?? name;
          note(minute, seriesOf(own, { ...labels, ...scraped }), value);
        }
    }
  }
  return [...columns].map(([series, values]) => {
    while (values.length < minutes) values.push('_');
    return { series, values: values.join(' ') };
  });
}

function seriesOf(name: string, labels: object): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(String(value))}`);
  return `${name}{${pairs.join(',')}}`;
}
