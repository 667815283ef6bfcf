// From a zod schema to the structural OpenAPI schema of a CustomResourceDefinition.
import { z } from 'zod';

/** A structural OpenAPI schema as a CustomResourceDefinition holds it. */
export interface Structural {
  type?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, Structural>;
  required?: string[];
  items?: Structural;
  [keyword: string]: unknown;
}

/** What JSON Schema has and a structural schema may not hold, or holds elsewhere. */
const dropped: ReadonlySet<string> = new Set([
  '$schema',
  'additionalProperties',
  'pattern',
  'default',
  'properties',
]);

/**
 * The structural schema of a zod schema. Defaults are told in descriptions and not given to the API server: it would
 * write them into old resources when they change, and what is done would run again.
 */
export function structural(schema: z.ZodType): Structural {
  return rewrite(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Structural);
}

function rewrite(from: Structural): Structural {
  const to: Structural = Object.fromEntries(
    Object.entries(from).filter(([keyword]) => !dropped.has(keyword)),
  );
  if (from.type === 'integer') to['format'] = 'int64';
  const description = describe(from);
  if (description !== undefined) to.description = description;
  if (from.items) to.items = rewrite(from.items);
  if (from.properties && Object.keys(from.properties).length > 0) {
    to.properties = Object.fromEntries(
      Object.entries(from.properties).map(([name, property]) => [name, rewrite(property)]),
    );
  }
  return to;
}

function describe({ description, default: value }: Structural): string | undefined {
  const words = value === undefined || isEmpty(value) ? [] : [`Default: ${JSON.stringify(value)}.`];
  return [...(description ? [description] : []), ...words].join(' ') || undefined;
}

const isEmpty = (value: unknown) =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
