// Validation rules beyond a field's type: for zod in this process, and as CEL for the API server.
import type { z } from 'zod';

/** One rule over several fields, written twice: for this process and, as CEL, for the API server. */
export interface Rule<T> {
  /** True for a right value. It also sees values whose parts failed, so it must not rely on them being there. */
  readonly holds: (value: T) => boolean;
  readonly cel: string;
  /** What is right. */
  readonly message: string;
  /** The field at fault, below the value; the value itself when absent. */
  readonly path?: readonly string[];
}

/** A validation as a CRD writes it. */
export interface Validation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

export const validationsKey = 'x-kubernetes-validations';

/** The schema with the rules checked by zod and, as metadata, by the API server. */
export function withRules<S extends z.ZodType>(schema: S, ...rules: Rule<z.output<S>>[]): S {
  const earlier = (schema.meta()?.[validationsKey] ?? []) as Validation[];
  const validations = rules.map(({ cel, message, path }) => ({
    rule: cel,
    message,
    ...(path && { fieldPath: `.${path.join('.')}` }),
  }));
  const checked = rules.reduce<z.ZodType>(
    // Without `when`, zod skips a rule as soon as any part of the value has a problem.
    (whole, { holds, message, path }) =>
      whole.refine((value) => holdsOrCannotTell(holds, value as z.output<S>), {
        error: message,
        path: [...(path ?? [])],
        when: ({ value }) => value !== undefined && value !== null,
      }),
    schema,
  );
  return checked.meta({ [validationsKey]: [...earlier, ...validations] }) as S;
}

/** A part that is of a wrong type, which its own schema tells, may be no number, text or list at all. */
function holdsOrCannotTell<T>(holds: (value: T) => boolean, value: T): boolean {
  try {
    return holds(value);
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
}

/** The schema with a rule that only the API server checks, because it holds only in a cluster. */
export function withClusterRule<S extends z.ZodType>(schema: S, validation: Validation): S {
  const earlier = (schema.meta()?.[validationsKey] ?? []) as Validation[];
  return schema.meta({ [validationsKey]: [...earlier, validation] }) as S;
}

/** The list with no two entries alike, or, with `key`, no two that share that field. */
export function distinct<S extends z.ZodArray>(list: S, key?: string): S {
  const keyOf = (entry: unknown) =>
    key === undefined ? entry : (entry as Record<string, unknown> | null)?.[key];
  const checked: z.ZodType = list.refine((entries) => new Set(entries.map(keyOf)).size === entries.length, {
    error:
      key === undefined ? 'must not name an entry twice' : `must not have two entries of the same ${key}`,
  });
  const kind = key === undefined ? { type: 'set' } : { type: 'map', keys: [key] };
  return checked.meta({
    'x-kubernetes-list-type': kind.type,
    ...(kind.keys && { 'x-kubernetes-list-map-keys': kind.keys }),
  }) as S;
}
