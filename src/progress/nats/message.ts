// The wire format of events: NATS subjects, and messages that are bounded and checked.
import { z } from 'zod';
import { badSpec, type JsonBounds, listOf, parseJson, type Shard } from '../../api/index.ts';
import type { StageEvent } from '../events.ts';
import type { ResourceIdentity } from '../resource.ts';

/** A run, as its subjects name it: of a resource, whose uid tells it from an earlier one of its name. */
export interface RunAddress {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** What crosses NATS: an event, whom it is about, and its place among its publisher's events. */
export interface EventMessage extends RunAddress {
  /** One process's stay: sequence numbers count from 1 within it. */
  publisher: string;
  sequence: number;
  /** Which of the pods that share the stage told it. */
  shard?: Shard;
  /** Which attempt of the resource this is about: as its pod was told, or when its `offsite run` began; absent where nobody counts them. */
  attempt?: number;
  event: StageEvent;
}

/** A word or a few, printed as they are by whoever watches. */
const printable = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[ -~]*$/);
const name = printable(64);

/** Results nest some six levels; what is written or measured of one that nests without end breaks whoever does it. */
const mostLevels = 16;
const isShallow = (value: unknown, levels = mostLevels): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every((inner) => isShallow(inner, levels - 1)));

/** Bounded as the resources' status is: whoever may publish a run's events must not be able to break its status. */
const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('progress'),
    stage: name,
    progressPercentage: z.int().min(0).max(100),
    estimatedRemainingSeconds: z.int().min(0).exactOptional(),
    metrics: listOf(z.object({ name, value: printable(32) }), z.array(z.unknown()).max(64)),
  }),
  z.object({ type: z.literal('warning'), reason: name, message: z.string().max(32_768) }),
  z.object({
    type: z.literal('result'),
    stage: name,
    result: z.unknown().refine((result) => isShallow(result)),
  }),
]);

/** Our streams take no larger one; a result has some figures of every layer, of which no model has more than 1,024. */
const messageBounds: JsonBounds = { bytes: 1 << 20, depth: 64, values: 1 << 14 };

const messageSchema = z.object({
  publisher: name,
  sequence: z.int().positive(),
  namespace: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  shard: z
    .object({ index: z.int().min(0), count: z.int().min(1).max(1024) })
    .refine(({ index, count }) => index < count)
    .exactOptional(),
  attempt: z.int().positive().exactOptional(),
  event: eventSchema,
});

/**
 * The message in these bytes; undefined where they are something else, or speak of another resource or event than the subject
 * that they came under: the server lets a publisher only use its own subjects, whatever it writes.
 */
export function decodeMessage(bytes: Uint8Array, subject: string): EventMessage | undefined {
  try {
    const message = messageSchema.parse(parseJson(bytes, messageBounds));
    const { namespace, kind, name: resource, uid, event } = message;
    const own = subjectOf({ namespace, kind, name: resource, uid, event: event.type });
    return own === subject ? message : undefined;
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
