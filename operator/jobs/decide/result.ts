/** Which result of a finished stage is the resource's: the whole one over NATS, or the short one of the pod itself. */
import { fingerprint, kinds, type Resource, type Success } from '../../../src/api/index.ts';
import { isMapping, type Json } from '../json.ts';
import type { KindRules } from '../stages.ts';

type ResultRules = Pick<KindRules<Resource>, 'kind' | 'resultFields' | 'wholeResult'>;

export type Settled =
  | { readonly is: 'accepted'; readonly fields: Json }
  | { readonly is: 'awaited' }
  | { readonly is: 'lost' };

export interface ResultInput {
  /** As it came over NATS, if it came. */
  readonly reported: unknown;
  /** What the pod left behind; undefined when the pod is gone. */
  readonly success: Success | undefined;
  /** Whether a report can still arrive. */
  readonly connected: boolean;
  /** Milliseconds since the stage ended. */
  readonly age: number;
  /** Whether this attempt was made only to fetch the result. */
  readonly recovering: boolean;
  /** The resource's `spec.output.uri`. */
  readonly output: string;
}

/** How long a report may be under way. */
export const reportPatience = 10_000;

/**
 * A pod leaves behind as much of its result as there is room for; where that is all of it, nothing is waited for. Else
 * the report is: one that contradicts the pod's own word is an older run's, or a forgery, and counts as none. A result
 * that is only known in short is fetched by another attempt, once: what its work place says to be done returns at once.
 */
export function settle(rules: ResultRules, input: ResultInput): Settled {
  const { reported, success, connected, age, recovering, output } = input;
  const own = success && saysAll(success) ? fieldsAt(output, rules, ownWord(success)) : undefined;
  if (own && rules.wholeResult.every((name) => name in own)) return { is: 'accepted', fields: own };
  const whole = fieldsAt(output, rules, reported);
  if (whole !== undefined && agrees(rules, whole, success)) return { is: 'accepted', fields: whole };
  if (connected && age < reportPatience) return { is: 'awaited' };
  if (own && (recovering || !connected)) return { is: 'accepted', fields: own };
  return { is: 'lost' };
}

/** Of what was cut off, the artifact at least must have come. */
const saysAll = ({ isCut, artifact }: Success) => !isCut || artifact !== undefined;

const ownWord = ({ artifact, summary }: Success): Json => ({ ...summary, ...(artifact && { artifact }) });

/** The status fields that a result may set, if they are what their schema says; what that does not know is left out. */
export function resultFields(
  { kind, resultFields: names }: Pick<ResultRules, 'kind' | 'resultFields'>,
  result: unknown,
): Json | undefined {
  if (!isMapping(result)) return undefined;
  const fields = Object.fromEntries(
    ['artifact', ...names].flatMap((name) => (result[name] === undefined ? [] : [[name, result[name]]])),
  );
  const parsed = kinds[kind].status.safeParse(fields);
  return parsed.success ? (parsed.data as Json) : undefined;
}

/**
 * Where the artifact lies is not for a pod to say: what depends on it goes there, with the Secrets and claims of the
 * namespace. A result that names another place than the resource's output counts as none.
 */
function fieldsAt(output: string, rules: ResultRules, result: unknown): Json | undefined {
  const fields = resultFields(rules, result);
  return fields && (placeIn(fields) ?? output) === output ? fields : undefined;
}

/**
 * What a stage reported before its gates stopped it. Any other failure has reported nothing: what is there is an older
 * run's, and so is a report in which every gate holds.
 */
export function failedGates(rules: ResultRules, reason: string, reported: unknown): Json {
  const { artifact: _, ...found } = (reason === 'GateFailed' && resultFields(rules, reported)) || {};
  const gates = found['gates'] as { passed: boolean }[] | undefined;
  return gates?.some(({ passed }) => !passed) ? found : {};
}

/** What a whole result that came late adds to a resource that is Complete by its pod's own, shorter word. */
export function lateResult(rules: ResultRules, status: Json, reported: unknown): Json {
  if (rules.resultFields.every((name) => status[name] !== undefined)) return {};
  const whole = resultFields(rules, reported);
  const known = rules.resultFields.filter((name) => status[name] !== undefined);
  const agrees =
    digestIn(whole) === digestIn(status) &&
    placeIn(whole) === placeIn(status) &&
    known.every((name) => fingerprint(status[name]) === fingerprint(whole?.[name] ?? null));
  return whole !== undefined && agrees ? whole : {};
}

/** The pod's own word is as much of the result as it had room for. */
function agrees(rules: ResultRules, whole: Json, success: Success | undefined): boolean {
  if (success === undefined) return false;
  return (
    (digestIn(whole) === success.artifact?.digest || !saysAll(success)) &&
    Object.entries(resultFields(rules, success.summary) ?? success.summary ?? {}).every(
      ([name, value]) => fingerprint(value) === fingerprint(whole[name] ?? null),
    )
  );
}

type Artifact = { digest: string; uri: string } | undefined;

const digestIn = (fields: Json | undefined) => (fields?.['artifact'] as Artifact)?.digest;
const placeIn = (fields: Json | undefined) => (fields?.['artifact'] as Artifact)?.uri;
