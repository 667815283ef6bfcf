import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  required?: string[];
  enum?: string[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-validations'?: { rule: string; message: string; fieldPath?: string }[];
}

/** The schema of a whole resource, from crds/. */
export function schemaOf(plural: string): Schema {
  const file = join(import.meta.dirname, '../../../crds', `${plural}.yaml`);
  const definition = parse(readFileSync(file, 'utf8')) as {
    spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
  };
  return definition.spec.versions[0]!.schema.openAPIV3Schema;
}

/** A place in a resource: `spec.training.betas[0]` as a list of keys. */
export type Path = readonly (string | number)[];

export const nameOf = (path: Path): string =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : i === 0 ? key : `.${key}`)).join('');

/** Every field below a schema, parents first. */
export function fieldsOf(schema: Schema, path: Path): { path: Path; schema: Schema }[] {
  const below = Object.entries(schema.properties ?? {}).flatMap(([key, child]) =>
    fieldsOf(child, [...path, key]),
  );
  const items = schema.items ? fieldsOf(schema.items, [...path, 0]) : [];
  return [{ path, schema }, ...below, ...items];
}

/** What stands for "the field is missing". */
export const absent = Symbol('absent');

/** Values that a field must not have, each breaking one word of its schema. */
export function wrongValues(schema: Schema): { value: unknown; breaks: string }[] {
  const { type, minimum, maximum, minLength, maxLength, minItems, maxItems } = schema;
  const wrong: { value: unknown; breaks: string }[] = [{ value: otherType(type), breaks: 'type' }];
  const add = (breaks: string, value: unknown) => wrong.push({ breaks, value });
  if (schema.enum) add('enum', 'nonsense');
  if (type === 'integer') add('integer', 1.5);
  if (minimum !== undefined) add('minimum', minimum - 1);
  if (maximum !== undefined) add('maximum', maximum + 1);
  if (minLength) add('minLength', 'x'.repeat(minLength - 1));
  if (maxLength !== undefined) add('maxLength', 'x'.repeat(maxLength + 1));
  if (minItems) add('minItems', []);
  if (maxItems !== undefined && schema.items)
    add('maxItems', Array(maxItems + 1).fill(rightOf(schema.items)));
  if (schema['x-kubernetes-list-type'] === 'set')
    add('set', [rightOf(schema.items!), rightOf(schema.items!)]);
  if (type === 'object' && !schema['x-kubernetes-preserve-unknown-fields'])
    add('unknown field', { nonsense: 1 });
  return wrong;
}

const otherType = (type: string | undefined): unknown => (type === 'string' ? 7 : 'nonsense');

const rightOf = ({ type, minimum }: Schema): unknown =>
  type === 'integer' ? (minimum ?? 0) : type === 'object' ? {} : '0.5';

/** The resource with one field set, or taken away; what lies on the way is made. */
export function withField<T>(resource: T, path: Path, value: unknown): T {
  const copy = structuredClone(resource);
  let at = copy as Record<string | number, unknown>;
  for (const [i, key] of path.slice(0, -1).entries()) {
    at[key] ??= typeof path[i + 1] === 'number' ? [] : {};
    at = at[key] as Record<string | number, unknown>;
  }
  const last = path.at(-1)!;
  if (value === absent) delete at[last];
  else at[last] = value;
  return copy;
}
