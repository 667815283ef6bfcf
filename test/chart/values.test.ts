import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { chart, helm, type Manifest, manifestsIn, type Result, template } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';

interface Schema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: string[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
  items?: Schema;
  anyOf?: Schema[];
}

const schema = JSON.parse(readFileSync(`${chart}/values.schema.json`, 'utf8')) as Schema;
const defaults = parse(readFileSync(`${chart}/values.yaml`, 'utf8')) as Record<string, unknown>;

/** Every value, groups apart. */
function* leaves({ properties = {} }: Schema, path: string[] = []): Generator<[string[], Schema]> {
  for (const [name, property] of Object.entries(properties)) {
    const below = property.additionalProperties === false ? property : undefined;
    if (below?.properties) yield* leaves(below, [...path, name]);
    else yield [[...path, name], property];
  }
}

const at = (tree: unknown, path: string[]): unknown =>
  path.reduce((value, name) => (value as Record<string, unknown> | undefined)?.[name], tree);

/** The tree with one value changed; nothing else is touched. */
function withValue(tree: object, [name, ...rest]: string[], value: unknown): object {
  const record = tree as Record<string, object>;
  const changed = rest.length === 0 ? value : withValue(record[name as string] ?? {}, rest, value);
  return { ...record, [name as string]: changed };
}

const samples = [
  'other',
  'other:5',
  '7Gi',
  '7m',
  `sha256:${'a'.repeat(64)}`,
  'nats://other:4222',
  'http://other:3128',
  '10.0.0.0/8',
];

/** What can stand in any list of structures, and be an object by itself. */
const object = { name: 'other', apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' } };

/** A valid value other than this one. */
function another(
  { type, enum: choices, pattern, items, maximum = Infinity, anyOf, additionalProperties }: Schema,
  value: unknown,
): unknown {
  if (anyOf) return another(anyOf[0]!, value);
  if (choices) return choices.find((choice) => choice !== value);
  if (type === 'boolean') return !value;
  if (type === 'integer' || type === 'number')
    return (value as number) < maximum ? (value as number) + 1 : (value as number) - 1;
  if (type === 'array')
    return [
      ...((value as unknown[]) ?? []),
      items?.type === 'object' || items?.anyOf ? object : another(items ?? {}, 1),
    ];
  if (type === 'object') {
    const wanted = (additionalProperties as Schema | undefined)?.type;
    return { ...(value as object), other: wanted === 'integer' ? 5 : 'other' };
  }
  return samples.find((sample) => sample !== value && new RegExp(pattern ?? '').test(sample));
}

test('every value has a description, and its default in values.yaml', () => {
  const paths = [...leaves(schema)];
  expect(paths.length).toBeGreaterThan(80);
  for (const [path, { description, ...rest }] of paths) {
    expect(description, path.join('.')).toMatch(/^\S.{8,}[.?)}]$/);
    expect(at(defaults, path), path.join('.')).toEqual(rest.default);
  }
});

test('the defaults satisfy the schema', () => {
  expect(helm(['lint', '--strict', chart], defaults)).toMatchObject({ status: 0, stderr: '' });
});

/** Values that say something only in another mode than the one with everything on. */
const elsewhere: Readonly<Record<string, object>> = {
  'nats.mode': modes['external NATS']!,
  'nats.external.url': modes['external NATS']!,
  'networkPolicy.natsPorts': modes['external NATS']!,
  'networkPolicy.natsTo': modes['external NATS']!,
  'nats.persistence.existingClaim': {},
  'caBundle.secret': {},
  'operator.serviceAccount.create': { operator: { serviceAccount: { name: 'made-before' } } },
  'monitoring.podMonitor.enabled': modes['OpenShift']!,
};
const baseOf = (name: string): object =>
  elsewhere[name] ?? (name.startsWith('monitoring.podMonitor.') ? modes['OpenShift']! : modes['everything']!);

/** What the API server does not let an upgrade change, by object. */
function immutable(yaml: string): Map<string, string> {
  const fixed = ({ kind, spec, roleRef }: Manifest): unknown => {
    if (kind === 'Deployment') return spec.selector;
    if (kind.endsWith('RoleBinding')) return roleRef;
    if (kind === 'Service') return spec.ipFamilies?.[0];
    if (kind !== 'StatefulSet') return undefined;
    const {
      template: _,
      replicas: __,
      revisionHistoryLimit: ___,
      persistentVolumeClaimRetentionPolicy: ____,
      ...rest
    } = spec;
    return rest;
  };
  return new Map(
    manifestsIn(yaml).map((manifest) => {
      const { kind, metadata } = manifest;
      return [
        `${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
        JSON.stringify(fixed(manifest) ?? null),
      ];
    }),
  );
}
const cannotChange = new Set<string>();

const templates = new Map<object, Result>();
/** Rendered once for all values of a mode. */
function templateOf(values: object): Result {
  const known = templates.get(values) ?? template(values);
  templates.set(values, known);
  return known;
}

test.each([...leaves(schema)].map(([path, property]) => [path.join('.'), path, property] as const))(
  '%s changes what is rendered',
  (name, path, property) => {
    // A parent chart's, which we do not read.
    if (name === 'global' || name === 'enabled') return;
    const base = baseOf(name);
    const value = another(property, at(base, path) ?? at(defaults, path));
    expect(value, 'a valid other value').toBeDefined();
    const before = templateOf(base);
    const after = template(withValue(base, path, value));
    expect([before.stderr, after.stderr]).toEqual(['', '']);
    expect(after.stdout).not.toBe(before.stdout);
    const [old, now] = [immutable(before.stdout), immutable(after.stdout)];
    if ([...old].some(([key, fields]) => now.has(key) && now.get(key) !== fields)) cannotChange.add(name);
  },
);

test('docs/operations.md has a way for each value that an upgrade alone cannot change', () => {
  const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const section = page.split(/^#+ /m).find((part) => part.startsWith('What an upgrade cannot change'));
  const told = [...(section ?? '').matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) =>
    [...(cell as string).matchAll(/`([^`]+)`/g)].map(([, value]) => value as string),
  );
  expect([...cannotChange].sort()).toEqual(told.sort());
});
