/** The operator's process: settings, one leader, health and metrics, an orderly end. */
import { KubeConfig } from '@kubernetes/client-node';
import { CommanderError } from 'commander';
import { collectDefaultMetrics } from 'prom-client';
import { openNats } from './nats.ts';
import { Operator } from './operator.ts';
import {
  ApiClient,
  EventRecorder,
  LeaderElection,
  operatorLog,
  RuntimeMetrics,
  runUntilTold,
  startHealthServer,
} from './runtime/index.ts';
import { readSettings, type Settings } from './settings.ts';

async function run(settings: Settings, signal: AbortSignal): Promise<void> {
  const { job: _, ...told } = settings;
  operatorLog.info(told, 'starting');
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  const metrics = new RuntimeMetrics();
  collectDefaultMetrics({ register: metrics.registry });
  const unguarded = new ApiClient(kubeConfig, { metrics });
  const election = new LeaderElection({
    client: unguarded,
    namespace: settings.namespace,
    name: settings.leaseName,
    identity: settings.identity,
    metrics,
  });
  // A write that was decided on while leading must not be sent after the lease is lost.
  const guard = settings.leaderElection ? { beforeWrite: () => election.assertLeading() } : {};
  const client = new ApiClient(kubeConfig, { metrics, ...guard });
  const events = new EventRecorder({
    client,
    reportingController: 'offsite-tuning.dev/operator',
    reportingInstance: settings.identity,
    metrics,
  });
  const { namespaces, job, concurrency } = settings;
  let ready = () => false;
  // Before anything is waited for: who is alive but waits must be able to say so.
  const server = await startHealthServer({
    port: settings.metricsPort,
    registry: metrics.registry,
    ready: () => ready(),
  });
  try {
    const mayTake = () => !settings.leaderElection || election.leading;
    const nats = await openNats(settings, unguarded, mayTake, signal);
    signal.throwIfAborted();
    const operator = new Operator({ client, namespaces, job, concurrency, events, metrics, ...nats });
    ready = () => operator.ready;
    await operator.follow(signal);
    const lead = async (leading: AbortSignal) => {
      await operator.lead(leading);
      // While it still may write.
      await events.flush();
    };
    await (settings.leaderElection ? election.run(signal, lead) : lead(signal));
  } finally {
    await server.close();
    client.close();
    unguarded.close();
  }
}

function settingsOrExit(): Settings {
  try {
    return readSettings(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exit(error.exitCode === 0 ? 0 : 2);
  }
}

const settings = settingsOrExit();
process.exit(await runUntilTold((signal) => run(settings, signal)));
