// A local run's events on NATS, beside its terminal.
import { openPublisher, type Terminal } from '../progress/index.ts';
import type { LoadedResource } from './manifests.ts';
import type { RunListener } from './run.ts';

/** A listener with something to finish: bars to give back, events that still wait to be sent. */
export type ClosingListener = RunListener & { close(): unknown };

/** Where `offsite run` sends its events beside the terminal. */
export interface NatsFlags {
  nats?: string;
  natsCredentials?: string;
}

/**
 * Sends a run's events to NATS where a URL was given; how a resource failed goes as a warning, since its stage has no result.
 * @param terminal shows, at the resource that runs, that NATS is away
 * @throws OffsiteError BadSpec for an unusable URL or credentials file
 */
export function natsListener(
  { nats: url, natsCredentials: credentials }: NatsFlags,
  loaded: readonly LoadedResource[],
  terminal: Terminal,
): ClosingListener[] {
  if (url === undefined) return [];
  let current: Parameters<Terminal['event']>[0] | undefined = loaded[0]?.resource;
  const publisher = openPublisher({
    url,
    credentials,
    // One uid stands for every run of a manifest: the later run is the later attempt.
    attempt: Date.now(),
    warn: (warning) => current && terminal.event(current, warning),
  });
  return [
    {
      event(resource, event) {
        current = resource;
        publisher.publish(resource, event);
      },
      finished({ resource, status }) {
        const failed = status.conditions?.find(({ type }) => type === 'Failed');
        if (failed === undefined) return;
        const { reason, message } = failed;
        publisher.publish(resource, { type: 'warning', reason, message });
      },
      close: () => publisher.close(),
    },
  ];
}

/** One listener that tells several, in their order. */
export function listenTogether(listeners: readonly RunListener[]): RunListener {
  return {
    event: (resource, event) => {
      for (const listener of listeners) listener.event(resource, event);
    },
    finished: (run) => {
      for (const listener of listeners) listener.finished(run);
    },
  };
}
