// What every resource has around its spec: API group and version, kind and metadata.
import { z } from 'zod';
import { integer, namespaceName, resourceName } from './fields.ts';

export const group = 'offsite-tuning.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

const metadata = z.looseObject({
  name: resourceName,
  namespace: namespaceName.optional(),
  uid: z.string().min(1).max(128).optional(),
  generation: integer(1, Number.MAX_SAFE_INTEGER).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type Metadata = z.output<typeof metadata>;

/** A whole resource. A status in a manifest is not read: the operator, or `offsite run`, writes it. */
export function resource<K extends string, S extends z.ZodType>(kind: K, spec: S) {
  return z
    .strictObject({
      apiVersion: z.literal(apiVersion),
      kind: z.literal(kind),
      metadata,
      spec,
      status: z.unknown().optional(),
    })
    .transform(({ status: _, ...rest }) => rest);
}
