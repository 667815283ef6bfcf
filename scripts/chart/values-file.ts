import { stringify } from 'yaml';
import { isGroup, type Schema } from './schema.ts';

const width = 110;

/** values.yaml: every value with its default, under its description. `defaults` are the schema's, filled in all depths. */
export function valuesFile(schema: Schema, defaults: unknown): string {
  return `# Generated from scripts/chart/values by \`npm run generate\`.\n${group(schema, defaults, '').join('\n')}\n`;
}

function group(schema: Schema, defaults: unknown, indent: string): string[] {
  const given = defaults as Record<string, unknown>;
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const comment = wrap(describe(property), width - indent.length - 2).map((line) => `${indent}# ${line}`);
    if (isGroup(property))
      return [...comment, `${indent}${name}:`, ...group(property, given[name], `${indent}  `)];
    const text = stringify({ [name]: given[name] }, { lineWidth: 0 }).trimEnd();
    return [...comment, ...text.split('\n').map((line) => indent + line)];
  });
}

const describe = ({ description = '', enum: choices }: Schema) =>
  choices ? `${description} One of ${choices.join(', ')}.` : description;

function wrap(text: string, length: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > length) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
