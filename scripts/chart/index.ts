import { stringify } from 'yaml';
import { type CustomResourceDefinition, kinds } from '../../src/api/index.ts';
import { dashboard } from './dashboard.ts';
import { withValuesTable } from './readme.ts';
import { valuesSchema } from './schema.ts';
import { values } from './values/index.ts';
import { valuesFile } from './values-file.ts';

export const chart = 'charts/offsite-tuning';

/** The chart's generated files by their paths from the repository's root. `readme` is the chart's README as it is. */
export function chartFiles(
  definitions: readonly CustomResourceDefinition[],
  readme: string,
): [string, string][] {
  const schema = valuesSchema();
  const defaults = values.parse({});
  return [
    ...definitions.map((crd): [string, string] => [
      `${chart}/templates/crds/${crd.spec.names.plural}.yaml`,
      crdTemplate(crd),
    ]),
    [`${chart}/files/kinds.json`, `${JSON.stringify(kindsForRights(), undefined, 2)}\n`],
    [`${chart}/files/dashboard.json`, `${JSON.stringify(dashboard(), undefined, 2)}\n`],
    [`${chart}/values.schema.json`, `${JSON.stringify(schema, undefined, 2)}\n`],
    [`${chart}/values.yaml`, valuesFile(schema, defaults)],
    [`${chart}/README.md`, withValuesTable(readme, schema, defaults)],
  ];
}

/** Whom the chart's roles let do what with which kinds. */
function kindsForRights() {
  const all = Object.values(kinds);
  const resources = all.map(({ names }) => names.plural);
  const madeBy = (whose: 'modelOwner' | 'dataOwner') =>
    all.filter(({ party }) => party === whose).map(({ names }) => names.plural);
  return {
    kinds: all.map(({ kind }) => kind),
    resources,
    statuses: resources.map((resource) => `${resource}/status`),
    finalizers: resources.map((resource) => `${resource}/finalizers`),
    modelOwner: madeBy('modelOwner'),
    dataOwner: madeBy('dataOwner'),
  };
}

/** The definition as `crds/` has it, in a condition, with the release's labels and annotations; else nothing is a template. */
function crdTemplate({ apiVersion, kind, metadata, spec }: CustomResourceDefinition): string {
  const { name, annotations, ...others } = metadata;
  if (Object.keys(others).length > 0) throw new Error(`${name}: metadata that the template leaves out`);
  const own = Object.entries(annotations).map(
    ([key, value]) => `${JSON.stringify(key)} ${JSON.stringify(value)}`,
  );
  const yaml = stringify({ spec }, { aliasDuplicateObjects: false, lineWidth: 110 });
  return [
    '{{- /* Generated from src/api by `npm run generate`. */ -}}',
    '{{- if .Values.crds.install }}',
    `apiVersion: ${apiVersion}`,
    `kind: ${kind}`,
    'metadata:',
    `  name: ${name}`,
    `  {{- include "offsite.clusterMetadata" (list . "crds" dict (dict ${own.join(' ')})) | nindent 2 }}`,
    yaml.replaceAll('{{', '{{ "{{" }}').trimEnd(),
    '{{- end }}\n',
  ].join('\n');
}
