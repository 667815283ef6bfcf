import { z } from 'zod';
import { values } from './values/index.ts';

/** What we read of a JSON Schema. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

/** The values' JSON Schema (draft 7, which Helm 3 reads). */
export function valuesSchema(): Schema {
  return z.toJSONSchema(values, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => {
      // A JSON object's names are strings without being told.
      delete jsonSchema.propertyNames;
    },
  }) as Schema;
}

/** A group has values of its own below it; anything else is one value. */
export const isGroup = (schema: Schema): boolean =>
  schema.properties !== undefined && schema.additionalProperties === false;
