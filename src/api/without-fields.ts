// A spec without some of its fields: what is left where these do not count.

/**
 * @param ignored paths such as `training.seed`; what opens a door, `secretRef`, counts nowhere
 */
export function withoutFields(value: unknown, ignored: ReadonlySet<string>, path = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutFields(item, ignored, path));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => {
      const at = path === '' ? key : `${path}.${key}`;
      return item === undefined || ignored.has(at) || key === 'secretRef'
        ? []
        : [[key, withoutFields(item, ignored, at)]];
    }),
  );
}
