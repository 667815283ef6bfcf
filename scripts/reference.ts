import { type CustomResourceDefinition, kinds, type Structural, type Validation } from '../src/api/index.ts';

/** docs/reference.md: every field of every kind, out of the schemas that the API server gets. */
export function reference(definitions: readonly CustomResourceDefinition[]): string {
  return [
    '# Reference of the resources',
    '',
    '<!-- Generated from src/api by `npm run generate`. -->',
    '',
    'API group `offsite-tuning.dev`, version `v1alpha1`, category `offsite` (`kubectl get offsite`). Names are DNS labels of',
    'at most 40 characters. Numbers with a fraction are strings: write `"1e-4"`, with the quotes. A field in **bold** must be',
    'given. `offsite run -f` and the cluster take the same manifests; `file:` URIs are for `offsite run` only.',
    ...definitions.flatMap(chapter),
    '',
  ].join('\n');
}

function chapter(definition: CustomResourceDefinition): string[] {
  const { kind, shortNames } = definition.spec.names;
  const schema = definition.spec.versions[0]?.schema.openAPIV3Schema;
  if (!schema?.properties) throw new Error(`the CRD of ${kind} has no schema`);
  const spec = fieldsOf(schema.properties['spec'] as Structural, 'spec');
  const status = fieldsOf(schema.properties['status'] as Structural, 'status');
  const rules = spec.flatMap((field) => field.rules);
  return [
    '',
    `## ${kind}`,
    '',
    `${schema.description} Short name \`${shortNames[0]}\`.`,
    '',
    '```yaml',
    kinds[kind].example,
    '```',
    '',
    ...table(spec),
    '',
    '### Rules',
    '',
    ...rules.map((rule) => `- ${rule}`),
    '',
    `### Status`,
    '',
    ...table(status),
  ];
}

interface Field {
  path: string;
  required: boolean;
  type: string;
  description: string;
  /** Rules over several fields; those over one string stand in the description of its type. */
  rules: string[];
}

function fieldsOf(schema: Structural, path: string, required = true): Field[] {
  const below = schema.items?.properties ? schema.items : schema;
  const at = below === schema ? path : `${path}[]`;
  const field: Field = {
    path,
    required,
    type: typeOf(schema),
    description: describe(schema),
    rules:
      below.type === 'object'
        ? validationsOf(below).map(({ fieldPath, message }) => `\`${at}${fieldPath ?? ''}\` ${message}.`)
        : [],
  };
  const members = Object.entries(below.properties ?? {}).flatMap(([name, property]) =>
    fieldsOf(property, `${at}.${name}`, below.required?.includes(name) ?? false),
  );
  return [field, ...members];
}

function typeOf(schema: Structural): string {
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => `\`${value}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'anything'}`;
  const { minimum, maximum } = schema;
  if (schema.type === 'integer' && maximum !== undefined && Number(maximum) < 2 ** 31) {
    return `integer ${minimum} to ${maximum}`;
  }
  return schema.type ?? 'anything';
}

function describe(schema: Structural): string {
  const scalar = schema.type === 'array' ? schema.items : schema;
  const right =
    scalar?.type === 'string' ? validationsOf(scalar).map(({ message }) => upperFirst(message)) : [];
  return [schema.description, ...right.map((message) => `${message}.`)].filter(Boolean).join(' ');
}

const validationsOf = (schema: Structural) => (schema['x-kubernetes-validations'] ?? []) as Validation[];
const upperFirst = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
const cell = (text: string) => text.replaceAll('|', '\\|');

function table(fields: readonly Field[]): string[] {
  return [
    '| Field | Type | |',
    '|---|---|---|',
    ...fields
      .slice(1)
      .map(
        ({ path, required, type, description }) =>
          `| ${required ? `**\`${path}\`**` : `\`${path}\``} | ${cell(type)} | ${cell(description)} |`,
      ),
  ];
}
