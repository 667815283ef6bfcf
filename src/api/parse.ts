// From a manifest to a checked resource with its defaults, or to every problem in it by field.
import { badSpec } from './errors.ts';
import { isKind, type Kind, kinds, type Resource } from './kinds/index.ts';
import { nearestOf, type Problem, problemsOf } from './problems.ts';
import { apiVersion } from './resources.ts';
import { structural } from './structural.ts';

/**
 * A manifest as a resource with its defaults.
 * @param where names the manifest in messages, such as `train.yaml, document 2`
 * @throws OffsiteError BadSpec with every problem, one a line: where, kind, name, field, reason and what is right.
 */
export function parseResource(value: unknown, where: string): Resource {
  const checked = checkResource(value, where);
  if ('resource' in checked) return checked.resource;
  throw badSpec(report(checked.problems, `${where}: ${checked.kind} ${nameOf(value)}`));
}

/**
 * A manifest as a resource with its defaults, or everything that is wrong with it, by field.
 * @throws OffsiteError BadSpec where it is of none of our kinds
 */
export function checkResource(
  value: unknown,
  where: string,
): { readonly resource: Resource } | { readonly kind: Kind; readonly problems: readonly Problem[] } {
  const kind = kindOf(value, where);
  const { schema } = kinds[kind];
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { resource: result.data };
  return { kind, problems: problemsOf(result.error.issues, structural(schema)) };
}

function kindOf(value: unknown, where: string): Kind {
  const names = Object.keys(kinds);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badSpec(`${where}: must be a mapping with apiVersion: ${apiVersion}, kind, metadata and spec`);
  }
  const kind = 'kind' in value ? String(value.kind) : undefined;
  if (kind !== undefined && isKind(kind)) return kind;
  const nearest = kind === undefined ? undefined : nearestOf(kind, names);
  const hint = nearest ? `; did you mean ${nearest}?` : '';
  const problem = kind === undefined ? 'is missing: it' : `is ${JSON.stringify(kind)}, but it`;
  throw badSpec(`${where}: ${nameOf(value)}: kind: ${problem} must be one of ${names.join(', ')}${hint}`);
}

function nameOf(value: unknown): string {
  const name = (value as { metadata?: { name?: unknown } | null }).metadata?.name;
  return typeof name === 'string' && name !== '' ? name : '(no name)';
}

function report(problems: readonly Problem[], subject: string): string[] {
  return problems.map(({ field, reason }) => `${subject}: ${field}: ${reason}`);
}
