import { badSpec } from './errors.ts';
import { nearestOf, type Problem, problemsOf } from './problems.ts';
import { apiVersion, type Kind, kinds, type Resource } from './resources.ts';
import { structural } from './structural.ts';

/**
 * A manifest as a resource with its defaults.
 * @param where names the manifest in messages, such as `train.yaml, document 2`
 * @throws OffsiteError BadSpec with every problem, one a line: where, kind, name, field, reason and what is right.
 */
export function parseResource(value: unknown, where: string): Resource {
  const kind = kindOf(value, where);
  const schema = kinds[kind].schema;
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw badSpec(
    report(problemsOf(result.error.issues, structural(schema)), `${where}: ${kind} ${nameOf(value)}`),
  );
}

function kindOf(value: unknown, where: string): Kind {
  const names = Object.keys(kinds);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badSpec(`${where}: must be a mapping with apiVersion: ${apiVersion}, kind, metadata and spec`);
  }
  const kind = 'kind' in value ? String(value.kind) : undefined;
  if (kind !== undefined && Object.hasOwn(kinds, kind)) return kind as Kind;
  const nearest = kind === undefined ? undefined : nearestOf(kind, names);
  const hint = nearest ? `; did you mean ${nearest}?` : '';
  const problem = kind === undefined ? 'is missing: it' : `is ${JSON.stringify(kind)}, but it`;
  throw badSpec(`${where}: ${nameOf(value)}: kind: ${problem} must be one of ${names.join(', ')}${hint}`);
}

function nameOf(value: unknown): string {
  const name = (value as { metadata?: { name?: unknown } | null }).metadata?.name;
  return typeof name === 'string' && name !== '' ? name : '(no name)';
}

function report(problems: readonly Problem[], subject: string): string {
  return problems.map(({ field, reason }) => `${subject}: ${field}: ${reason}`).join('\n');
}
