/** JSON as it comes: what is known of it is that it is a mapping. */

export type Json = Record<string, unknown>;

export const isMapping = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
