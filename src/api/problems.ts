// Schema issues as problems that a user can mend: the field's path, what is right there, the nearest known name.
import type { z } from 'zod';
import type { Structural } from './structural.ts';

/** A field and what is wrong with it. */
export interface Problem {
  readonly field: string;
  readonly reason: string;
}

/** zod's issues in words that say what is right. `schema` gives the names that a field could have had. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], schema: Structural): Problem[] {
  return issues.flatMap((issue) => {
    const at = fieldName(issue.path);
    if (issue.code === 'unrecognized_keys') {
      const known = Object.keys(schemaAt(schema, issue.path)?.properties ?? {});
      return issue.keys.map((key) => ({
        field: at ? `${at}.${key}` : key,
        reason: unknownField(key, known),
      }));
    }
    return [{ field: at || 'the document', reason: reasonOf(issue) }];
  });
}

/** No word that is known here is near so long a one. */
const longestWord = 100;

/** The nearest of the known words, if it is near enough to be a slip. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  if (word.length > longestWord) return undefined;
  const lower = word.toLowerCase();
  const [best] = known
    .map((name) => ({ name, distance: editDistance(lower, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  // Short words are all near each other: "gpu" is no slip for "cpu".
  return best && best.distance <= Math.floor(word.length / 4) + (word.length > 4 ? 1 : 0)
    ? best.name
    : undefined;
}

function unknownField(key: string, known: readonly string[]): string {
  const nearest = nearestOf(key, known);
  const hint = nearest ? `did you mean ${nearest}?` : `known here: ${known.join(', ')}`;
  return `there is no such field; ${hint}`;
}

function reasonOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(issue.expected, issue.input);
    case 'invalid_value':
      return wrongValue(issue);
    case 'too_small':
      return `must ${measure(issue.origin)} at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `must ${measure(issue.origin)} at most ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return issue.message;
  }
}

function wrongType(expected: string, input: unknown): string {
  const right = expected === 'int' ? 'a whole number' : (typeNames[expected] ?? expected);
  if (input === undefined) return `is missing: it must be ${right}`;
  if (expected === 'string' && (typeof input === 'number' || typeof input === 'boolean')) {
    return `must be a string: write "${input}" in quotes`;
  }
  if ((expected === 'number' || expected === 'int') && typeof input === 'string') {
    return `must be ${right}, without quotes`;
  }
  return `must be ${right}`;
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of fields',
};

function wrongValue(issue: z.core.$ZodIssueInvalidValue): string {
  const values = issue.values.map(String);
  // A message of the schema's own says more than the list of values does.
  if (!issue.message.startsWith('Invalid')) return issue.message;
  const right = values.length === 1 ? `must be ${values[0]}` : `must be one of ${values.join(', ')}`;
  if (issue.input === undefined) return `is missing: it ${right}`;
  const nearest = values.length > 1 && nearestOf(String(issue.input), values);
  return nearest ? `${right}; did you mean ${nearest}?` : right;
}

const measure = (origin: string) => (origin === 'string' || origin === 'array' ? 'have' : 'be');
const unitOf = (origin: string) =>
  origin === 'string' ? ' characters' : origin === 'array' ? ' entries' : '';

function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (name, part) =>
      typeof part === 'number' ? `${name}[${part}]` : name ? `${name}.${String(part)}` : String(part),
    '',
  );
}

function schemaAt(schema: Structural, path: readonly PropertyKey[]): Structural | undefined {
  return path.reduce<Structural | undefined>(
    (at, part) => (typeof part === 'number' ? at?.items : at?.properties?.[String(part)]),
    schema,
  );
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
