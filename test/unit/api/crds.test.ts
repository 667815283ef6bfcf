import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { reference } from '../../../scripts/reference.ts';
import { crds, kinds, parseResource, type Structural, type Validation } from '../../../src/api/index.ts';

const file = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Every schema below this one, with its path. */
function* schemas(schema: Structural, path: string): Generator<[string, Structural]> {
  yield [path, schema];
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    yield* schemas(property, `${path}.${name}`);
  if (schema.items) yield* schemas(schema.items, `${path}[]`);
}

describe.each(crds().map((crd) => [crd.spec.names.kind, crd] as const))('the CRD of %s', (kind, crd) => {
  const version = crd.spec.versions[0];
  const root = version?.schema.openAPIV3Schema as Structural;
  const own = ['spec', 'status'].flatMap((part) => [...schemas(root.properties?.[part] as Structural, part)]);

  it('is the committed file', () => {
    expect(parseAllDocuments(file(`crds/${kinds[kind].names.plural}.yaml`))[0]?.toJS()).toEqual(
      JSON.parse(JSON.stringify(crd)),
    );
  });

  it('is structural: a type everywhere, nothing that a structural schema may not hold', () => {
    const foreign = [
      '$ref',
      '$schema',
      'anyOf',
      'oneOf',
      'allOf',
      'not',
      'const',
      'additionalProperties',
      'default',
    ];
    for (const [path, schema] of own) {
      expect(schema.type, path).toMatch(/^(object|array|string|integer|boolean)$/);
      expect(
        foreign.filter((keyword) => keyword in schema),
        path,
      ).toEqual([]);
    }
  });

  it('bounds every string and list, so that the cost of its rules is bounded', () => {
    for (const [path, schema] of own) {
      if (schema.type === 'string') expect(schema['maxLength'] ?? schema['enum'], path).toBeDefined();
      if (schema.type === 'array') expect(schema['maxItems'], path).toBeDefined();
    }
  });

  it('has rules whose fieldPath is a field', () => {
    for (const [path, schema] of own) {
      for (const { fieldPath } of (schema['x-kubernetes-validations'] ?? []) as Validation[]) {
        const keys = fieldPath?.slice(1).split('.') ?? [];
        const named = keys.reduce<typeof schema | undefined>((at, key) => at?.properties?.[key], schema);
        expect(named, `${path}${fieldPath}`).toBeDefined();
      }
    }
  });

  it('shows what people look for', () => {
    const columns = version?.additionalPrinterColumns.map(({ name }) => name);
    expect(columns).toEqual(expect.arrayContaining(['Phase', 'Progress', 'Stage', 'Reason', 'Age']));
    expect(version?.subresources).toEqual({ status: {} });
    expect(root.properties?.['status']?.properties?.['conditions']).toMatchObject({
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    });
    expect(root.properties?.['spec']?.properties?.['template']).toHaveProperty(
      'x-kubernetes-preserve-unknown-fields',
      true,
    );
  });
});

it('rules that repeat a default repeat the right one', () => {
  const text = JSON.stringify(crds());
  expect(text).toContain('has(self.batchSize) ? self.batchSize : 16)');
  expect(text).toContain('Rows a step. Default: 16.');
  expect(text).toContain('(!has(self.transferLayers) ? 4 :');
  expect(text).toContain('{count: 4} when absent.');
});

describe('docs/reference.md', () => {
  it('is current', () => expect(file('docs/reference.md')).toBe(reference(crds())));

  it('has an example of each kind that is accepted', () => {
    const examples = [...file('docs/reference.md').matchAll(/```yaml\n([\s\S]*?)```/g)];
    const seen = examples.map(([, text]) =>
      parseResource(parseAllDocuments(text as string)[0]?.toJS(), 'reference'),
    );
    expect(seen.map(({ kind }) => kind)).toEqual(['EmulatorBuild', 'OffsiteTune', 'PlugIn']);
  });
});
