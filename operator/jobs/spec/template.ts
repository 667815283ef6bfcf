/** Merges pod templates as the API server's strategic merge does: mappings by field, lists of named things by name. */
import { isMapping, type Json } from '../json.ts';

/** The field by which entries of these lists are the same entry; all other lists are replaced as a whole. */
export const mergeKeys: ReadonlyMap<string, string> = new Map([
  ['containers', 'name'],
  ['initContainers', 'name'],
  ['env', 'name'],
  ['volumeMounts', 'mountPath'],
  ['volumeDevices', 'devicePath'],
  ['volumes', 'name'],
  ['resourceClaims', 'name'],
  ['imagePullSecrets', 'name'],
  ['hostAliases', 'ip'],
]);

/** Their entries are replaced, not merged: a volume has one source, and so has a claim. */
const wholeEntries: ReadonlySet<string> = new Set(['volumes', 'resourceClaims', 'env', 'volumeMounts']);

/** Lists to which both sides add. */
export const joined: ReadonlySet<string> = new Set(['tolerations']);

/**
 * `over` laid on `under`: what both state is as `over` says, everything else stays, also fields that are not known here.
 * A null in `over` takes the field away. Whatever the fields are called, they are the result's own.
 */
export function merge(under: Json, over: Json): Json {
  const result = new Map(Object.entries(under));
  for (const [field, value] of Object.entries(over)) {
    if (value === null) result.delete(field);
    else result.set(field, mergeField(field, result.get(field), value));
  }
  return Object.fromEntries(result);
}

function mergeField(field: string, under: unknown, over: unknown): unknown {
  if (isMapping(over)) return merge(isMapping(under) ? under : {}, over);
  if (!Array.isArray(over)) return over;
  const before: readonly unknown[] = Array.isArray(under) ? under : [];
  if (joined.has(field)) return [...before, ...over];
  const key = mergeKeys.get(field);
  return key === undefined ? over : mergeList([...before, ...over], key, wholeEntries.has(field));
}

/** Each name once, where it stood first and as it was said last. */
function mergeList(entries: readonly unknown[], key: string, whole: boolean): unknown[] {
  const places = new Map<unknown, number>();
  const result: unknown[] = [];
  for (const entry of entries) {
    const name = isMapping(entry) ? entry[key] : undefined;
    const place = name === undefined ? undefined : places.get(name);
    const under = place === undefined ? {} : (result[place] as Json);
    const merged = whole || !isMapping(entry) ? entry : merge(under, entry);
    if (place !== undefined) result[place] = merged;
    else {
      if (name !== undefined) places.set(name, result.length);
      result.push(merged);
    }
  }
  return result;
}
