/** Fields that are not the same in two JSON values, with both values. */
export function differences(one: unknown, other: unknown, path = ''): string[] {
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) {
    return one === other ? [] : [`${path}: ${JSON.stringify(one)} became ${JSON.stringify(other)}`];
  }
  const [a, b] = [one, other] as Record<string, unknown>[];
  const keys = new Set([...Object.keys(a!), ...Object.keys(b!)]);
  return [...keys].flatMap((key) => differences(a![key], b![key], `${path}/${key}`));
}
