import { createHash } from 'node:crypto';
import type { Kind } from './resources.ts';

/** Fields that change no result: how a Job runs, what opens a door, how often work is saved or shared out. */
const withoutResult: ReadonlySet<string> = new Set([
  'template',
  'suspend',
  'ttlSecondsAfterFinished',
  'activeDeadlineSeconds',
  'backoffLimit',
  'work',
  'output.replace',
  'probe.shards',
  'training.checkpointSteps',
]);

/**
 * The sha256, in hexadecimal, of a resource's identity and of its result-relevant fields that are set. Give it the spec
 * as it was written, before defaults are applied, so that a new default in a later version changes no name. Its form is
 * v1alpha1's, which is no part of the hash: a later API version hashes what the same spec is in this one.
 */
export function hashOfSpec(kind: Kind, uid: string, spec: object): string {
  return fingerprint({ kind, uid, spec: relevant(spec, '') });
}

/** The sha256, in hexadecimal, of a JSON value, whatever the order of its keys. */
export function fingerprint(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

function relevant(value: unknown, path: string): unknown {
  if (Array.isArray(value)) return value.map((item) => relevant(item, path));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => {
      const at = path === '' ? key : `${path}.${key}`;
      return item === undefined || withoutResult.has(at) || key === 'secretRef'
        ? []
        : [[key, relevant(item, at)]];
    }),
  );
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
