/** Merges pod templates as the API server's strategic merge does: mappings by field, lists of named things by name. */

export type Json = Record<string, unknown>;

/** The field by which entries of these lists are the same entry; all other lists are replaced as a whole. */
export const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  volumes: 'name',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
};

/** Their entries are replaced, not merged: a volume has one source. */
const wholeEntries: ReadonlySet<string> = new Set(['volumes', 'env', 'volumeMounts']);

/** Lists to which both sides add. */
export const joined: ReadonlySet<string> = new Set(['tolerations']);

/**
 * `over` laid on `under`: what both state is as `over` says, everything else stays, also fields that are not known here.
 * A null in `over` takes the field away.
 */
export function merge(under: Json, over: Json): Json {
  const result: Json = { ...under };
  for (const [field, value] of Object.entries(over)) {
    if (value === null) delete result[field];
    else result[field] = mergeField(field, result[field], value);
  }
  return result;
}

function mergeField(field: string, under: unknown, over: unknown): unknown {
  if (isMapping(over)) return merge(isMapping(under) ? under : {}, over);
  if (!Array.isArray(under) || !Array.isArray(over)) return over;
  if (joined.has(field)) return [...under, ...over];
  const key = mergeKeys[field];
  return key === undefined ? over : mergeList(under, over, key, wholeEntries.has(field));
}

function mergeList(under: unknown[], over: unknown[], key: string, whole: boolean): unknown[] {
  const keyOf = (entry: unknown) => (isMapping(entry) ? entry[key] : undefined);
  const result = [...under];
  for (const entry of over) {
    const name = keyOf(entry);
    const at = name === undefined ? -1 : result.findIndex((other) => keyOf(other) === name);
    if (at < 0) result.push(entry);
    else result[at] = whole ? entry : merge(result[at] as Json, entry as Json);
  }
  return result;
}

export const isMapping = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
