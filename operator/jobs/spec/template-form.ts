/** Whether a pod template can be read and merged as it was meant, whatever it asks for. */
import { type Problem, printable } from '../../../src/api/index.ts';
import { type KubeObject, leftOut } from '../../runtime/index.ts';
import { isMapping, type Json } from '../json.ts';

/** A pod template that the API server knows has a dozen levels. */
const mostLevels = 100;
/** Values and characters, names among them. A few kilobytes are usual. */
const mostValues = 10_000;
const mostCharacters = 262_144;
/** Of so many one knows what is wrong. */
const mostProblems = 10;

const tooLarge = `is larger than ${mostValues} values or ${mostCharacters} characters: put what is long into a ConfigMap`;

/** A resource without its template, where that is past all bounds: it will be told so, and is kept many times. */
export function withoutHugeTemplate(object: KubeObject): KubeObject {
  const { spec } = object;
  if (!isMapping(spec) || !isHuge(spec['template'])) return object;
  return { ...object, spec: { ...spec, template: leftOut } } as KubeObject;
}

function isHuge(template: unknown): boolean {
  let values = 0;
  let characters = 0;
  const open = [template];
  while (open.length > 0) {
    const value = open.pop();
    values += 1;
    if (typeof value === 'string') characters += value.length;
    if (typeof value === 'object' && value !== null) {
      const names = Array.isArray(value) ? [] : Object.keys(value);
      for (const name of names) characters += name.length;
      for (const item of Object.values(value)) open.push(item);
    }
    if (values + open.length > mostValues || characters > mostCharacters) return true;
  }
  return false;
}

/** By these JavaScript reaches what is not an object's own. No field of a pod has such a name. */
const misleading: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Of two entries with one name Kubernetes takes none. In other lists the last of a name counts, here as there. */
const listsOfOnes = ['containers', 'initContainers', 'volumes'];

/** Too much of it, names that mislead, too many levels, two entries with one name. Takes a time that grows with the template, no faster. */
export function formProblems(template: unknown, field: string): Problem[] {
  if (template === leftOut || isHuge(template)) return [{ field, reason: tooLarge }];
  const problems = [...walk(template, field), ...twice(template, field)];
  return problems
    .slice(0, mostProblems)
    .map((problem) => ({ field: printable(problem.field), reason: problem.reason }));
}

/** Without recursion: what is too deep for it is looked for. */
function walk(template: unknown, field: string): Problem[] {
  const problems: Problem[] = [];
  const open = [{ value: template, field, level: 1 }];
  for (let at = open.pop(); at !== undefined && problems.length < mostProblems; at = open.pop()) {
    const { value, field, level } = at;
    if (typeof value !== 'object' || value === null) continue;
    if (level > mostLevels) {
      problems.push({
        field,
        reason: `is more than ${mostLevels} levels deep: no field of a pod template is`,
      });
      continue;
    }
    const below = Array.isArray(value)
      ? value.map((entry: unknown, i) => ({ value: entry, field: `${field}[${i}]`, level: level + 1 }))
      : Object.entries(value).map(([name, item]) => ({
          value: misleading.has(name) ? undefined : (item as unknown),
          field: `${field}.${name}`,
          level: level + 1,
        }));
    if (!Array.isArray(value)) {
      const wrong = Object.keys(value).filter((name) => misleading.has(name));
      problems.push(
        ...wrong.map((name) => ({
          field: `${field}.${name}`,
          reason: 'no field of a pod template may have this name: leave it out',
        })),
      );
    }
    for (const next of below.reverse()) open.push(next);
  }
  return problems;
}

function twice(template: unknown, field: string): Problem[] {
  const spec: unknown = isMapping(template) ? template['spec'] : undefined;
  return isMapping(spec) ? listsOfOnes.flatMap((list) => twiceIn(spec, list, field)) : [];
}

function twiceIn(spec: Json, list: string, field: string): Problem[] {
  const first = new Map<string, number>();
  const entries: unknown = spec[list];
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry: unknown, i): Problem[] => {
    const name: unknown = isMapping(entry) ? entry['name'] : undefined;
    if (typeof name !== 'string') return [];
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, i);
      return [];
    }
    const reason = `${list}[${earlier}] has this name, too: put both into one entry, or name one otherwise`;
    return [{ field: `${field}.spec.${list}[${i}].name`, reason }];
  });
}
