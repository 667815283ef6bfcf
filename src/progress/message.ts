import { z } from 'zod';
import { badSpec } from '../api/index.ts';
import type { StageEvent } from './events.ts';
import type { ResourceIdentity } from './terminal.ts';

/** What crosses NATS: an event, whom it is about, and its place among its publisher's events. */
export interface EventMessage {
  /** One process's stay: sequence numbers count from 1 within it. */
  publisher: string;
  sequence: number;
  namespace: string;
  kind: string;
  name: string;
  uid: string;
  event: StageEvent;
}

const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('progress'),
    stage: z.string(),
    progressPercentage: z.number(),
    estimatedRemainingSeconds: z.number().exactOptional(),
    metrics: z.array(z.object({ name: z.string(), value: z.string() })),
  }),
  z.object({ type: z.literal('warning'), reason: z.string(), message: z.string() }),
  z.object({ type: z.literal('result'), stage: z.string(), result: z.unknown() }),
]);

const messageSchema = z.object({
  publisher: z.string(),
  sequence: z.int().positive(),
  namespace: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  event: eventSchema,
});

/** The message in these bytes; undefined where they are something else (anyone may publish to a subject). */
export function decodeMessage(bytes: Uint8Array): EventMessage | undefined {
  try {
    return messageSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return undefined;
  }
}

/** The four tokens that name a resource; a local run without namespace or uid gets `default` and `local`. */
export function addressOf({ kind, metadata }: ResourceIdentity) {
  return {
    namespace: metadata.namespace ?? 'default',
    kind,
    name: metadata.name,
    uid: metadata.uid ?? 'local',
  };
}

/** Which events to watch; what is left out may be anything. */
export interface EventFilter {
  namespace?: string | undefined;
  /** As in a manifest: `EmulatorBuild`, `OffsiteTune`, `PlugIn`. */
  kind?: string | undefined;
  name?: string | undefined;
  uid?: string | undefined;
  event?: StageEvent['type'] | undefined;
}

/**
 * `offsite.v1.<namespace>.<kind>.<name>.<uid>.<event>`, with `*` for what is left out.
 * @throws BadSpec where a part is no NATS token (a dot, a space or a wildcard would change the subject's meaning)
 */
export function subjectOf(filter: EventFilter): string {
  const parts = { namespace: '*', kind: '*', name: '*', uid: '*', event: '*', ...defined(filter) };
  for (const [part, value] of Object.entries(parts)) {
    if (value !== '*' && !/^[A-Za-z0-9_-]+$/.test(value))
      throw badSpec(`${part} ${JSON.stringify(value)} must be of letters, digits, "-" and "_"`);
  }
  const { namespace, kind, name, uid, event } = parts;
  return ['offsite', 'v1', namespace, kind, name, uid, event].join('.');
}

const defined = (filter: EventFilter) =>
  Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
