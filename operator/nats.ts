/** Where the keys of NATS lie, and what listens there. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type AuthSecretStore, Reports, RunCredentials } from './progress/index.ts';
import {
  type ApiClient,
  isAlreadyExists,
  isNotFound,
  type KubeObject,
  operatorLog,
  secrets,
  toldOf,
} from './runtime/index.ts';
import type { Settings } from './settings.ts';

export interface Nats {
  readonly reports: Reports;
  /** Absent where NATS asks for no credentials. */
  readonly credentials?: RunCredentials | undefined;
}

/**
 * Makes sure of the keys, which NATS itself may be waiting for.
 * @param mayTake whether this replica still leads: what it takes reaches no other
 * @returns undefined where there is no NATS, or the signal aborts
 */
export async function openNats(
  settings: Settings,
  client: ApiClient,
  mayTake: () => boolean,
  signal: AbortSignal,
): Promise<Nats | undefined> {
  const { natsUrl: url, natsAuthSecret } = settings;
  if (url === undefined) return undefined;
  const failed = (code: string) => operatorLog.warn({ code }, 'NATS cannot be heard; trying again');
  const refused = () =>
    operatorLog.warn(
      'NATS keeps no events: runs end without their results; docs/operations.md, OffsiteNatsStoreFull, says what to do',
    );
  const options = { url, failed, refused, mayTake };
  if (natsAuthSecret === undefined) return { reports: new Reports(options) };
  const credentials = new RunCredentials({
    store: secretStore(client, settings.namespace, natsAuthSecret),
    authority: settings.natsCa && readFileSync(settings.natsCa, 'utf8'),
  });
  while (!signal.aborted) {
    try {
      await credentials.ensure();
      if (!credentials.separatesRuns) {
        operatorLog.warn(
          { secret: natsAuthSecret },
          'the Secret has no pods.seed: a run can write what other runs are said to have told; docs/security.md says what to do',
        );
      }
      if (!credentials.separatesWatchers) {
        operatorLog.warn(
          { secret: natsAuthSecret },
          'the Secret has no watchers.seed: who has its watcher.creds can change what runs are said to have told; docs/security.md says what to do',
        );
      }
      const credentialsText = credentials.operator;
      return { credentials, reports: new Reports({ ...options, credentialsText }) };
    } catch (error) {
      operatorLog.warn(
        { secret: natsAuthSecret, ...toldOf(error) },
        'the keys of NATS are not there; trying again',
      );
      await pause(2000, undefined, { signal }).catch(() => {});
    }
  }
  return undefined;
}

function secretStore(client: ApiClient, namespace: string, name: string): AuthSecretStore {
  return {
    async get() {
      try {
        const { data = {} } = await client.get<KubeObject & { data?: Record<string, string> }>(
          secrets,
          namespace,
          name,
        );
        return Object.fromEntries(
          Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
        );
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async create(values) {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace },
        type: 'Opaque',
        stringData: values,
      };
      try {
        await client.create(secrets, secret);
        return true;
      } catch (error) {
        if (isAlreadyExists(error)) return false;
        throw error;
      }
    },
  };
}
