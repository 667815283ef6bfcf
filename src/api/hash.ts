// The hash of a resource's result-relevant fields: equal hashes mean equal work, whatever else of the spec differs.
import { createHash } from 'node:crypto';
import { type Kind, kinds } from './kinds/index.ts';
import { withoutFields } from './without-fields.ts';

/** Fields of all kinds that change no result: how a Job runs, what opens a door. */
const withoutResult = [
  'template',
  'suspend',
  'ttlSecondsAfterFinished',
  'activeDeadlineSeconds',
  'backoffLimit',
  'work',
  'output.replace',
];

/**
 * The sha256, in hexadecimal, of a resource's identity and of its result-relevant fields that are set. Give it the spec
 * as it was written, before defaults are applied, so that a new default in a later version changes no name. Its form is
 * v1alpha1's, which is no part of the hash: a later API version hashes what the same spec is in this one.
 */
export function hashOfSpec(kind: Kind, uid: string, spec: object): string {
  const ignored = new Set([...withoutResult, ...(kinds[kind].withoutResult ?? [])]);
  return fingerprint({ kind, uid, spec: withoutFields(spec, ignored) });
}

/** The sha256, in hexadecimal, of a JSON value, whatever the order of its keys. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

/** JSON with sorted keys and no white space. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`);
  return `{${members.join(',')}}`;
}
