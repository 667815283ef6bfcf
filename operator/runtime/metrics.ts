// Prometheus metrics of the runtime: requests, caches, queues, reconciles.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The runtime's metrics. Labels are few and fixed: controller, kind, verb, code, result; never the name of an object. */
export class RuntimeMetrics {
  readonly registry: Registry;
  /** code is the HTTP status, or 0 when no answer came. */
  readonly requests: Counter<'verb' | 'kind' | 'code'>;
  /** What its roles do not allow; quotas and admission are not counted. */
  readonly rightsMissing: Counter<'verb' | 'kind'>;
  readonly requestSeconds: Histogram<'verb' | 'kind'>;
  readonly cachedObjects: Gauge<'kind'>;
  /** reason: closed, silent, gone, error, disorder. */
  readonly watchEnds: Counter<'kind' | 'reason'>;
  readonly lists: Counter<'kind'>;
  readonly queueLength: Gauge<'controller'>;
  readonly queueSeconds: Histogram<'controller'>;
  readonly activeReconciles: Gauge<'controller'>;
  /** result: success, requeue, error. */
  readonly reconciles: Counter<'controller' | 'result'>;
  readonly reconcileSeconds: Histogram<'controller'>;
  readonly leading: Gauge;
  /** result: written, repeated, dropped, failed. */
  readonly events: Counter<'result'>;

  constructor(registry: Registry = new Registry()) {
    this.registry = registry;
    const registers = [registry];
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `offsite_operator_${name}`, help, labelNames, registers });
    const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Gauge({ name: `offsite_operator_${name}`, help, labelNames, registers });
    const histogram = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Histogram({ name: `offsite_operator_${name}`, help, labelNames, registers, buckets: seconds });
    this.requests = counter('api_requests_total', 'Requests to the API server.', ['verb', 'kind', 'code']);
    this.rightsMissing = counter(
      'api_rights_missing_total',
      'Requests that the API server refused because the operator may not make them.',
      ['verb', 'kind'],
    );
    this.requestSeconds = histogram('api_request_seconds', 'Time until the whole answer was there.', [
      'verb',
      'kind',
    ]);
    this.cachedObjects = gauge('cached_objects', 'Objects that the informers hold.', ['kind']);
    this.watchEnds = counter('watch_ends_total', 'Watches that ended and were taken up again.', [
      'kind',
      'reason',
    ]);
    this.lists = counter('lists_total', 'Full lists that informers read.', ['kind']);
    this.queueLength = gauge('queue_length', 'Keys that wait to be reconciled now.', ['controller']);
    this.queueSeconds = histogram('queue_seconds', 'How long a key waited in the queue.', ['controller']);
    this.activeReconciles = gauge('active_reconciles', 'Reconciles under way.', ['controller']);
    this.reconciles = counter('reconciles_total', 'Reconciles by how they ended.', ['controller', 'result']);
    this.reconcileSeconds = histogram('reconcile_seconds', 'Time of one reconcile.', ['controller']);
    this.leading = gauge('leading', '1 while this replica holds the lease.', []);
    this.events = counter('events_total', 'Kubernetes events by what became of them.', ['result']);
  }
}
