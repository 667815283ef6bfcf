import { nameRule } from './fields.ts';
import { apiVersion, group, type Kind, kinds, version } from './resources.ts';
import { validationsKey } from './rules.ts';
import { type Structural, structural } from './structural.ts';

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: {
    readonly group: string;
    readonly scope: 'Namespaced';
    readonly names: {
      readonly kind: Kind;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly subresources: { readonly status: object };
      readonly additionalPrinterColumns: readonly Column[];
      readonly schema: { readonly openAPIV3Schema: Structural };
    }[];
  };
}

interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  /** Above 0: only with `-o wide`. */
  readonly priority?: number;
  readonly description?: string;
}

/** The CustomResourceDefinitions of the three kinds, ready for `kubectl apply`. */
export function crds(): CustomResourceDefinition[] {
  return (Object.keys(kinds) as Kind[]).map(definitionOf);
}

function definitionOf(kind: Kind): CustomResourceDefinition {
  const { plural, singular, shortName, spec, status, description } = kinds[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      // As templates of the chart they are upgraded with it, and stay, with all resources, when it is removed.
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames: [shortName],
        categories: ['offsite'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columnsOf(kind),
          schema: {
            openAPIV3Schema: {
              description,
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: apiVersion },
                kind: { type: 'string', description: kind },
                metadata: { type: 'object' },
                spec: structural(spec),
                status: structural(status),
              },
              [validationsKey]: [nameRule],
            },
          },
        },
      ],
    },
  };
}

function columnsOf(kind: Kind): Column[] {
  return [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
    {
      name: 'Progress',
      type: 'integer',
      jsonPath: '.status.progress.progressPercentage',
      description: 'Percent of the stage',
    },
    { name: 'Stage', type: 'string', jsonPath: '.status.stage' },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.status=="True")].reason' },
    ...ownColumns[kind],
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    {
      name: 'Message',
      type: 'string',
      jsonPath: '.status.conditions[?(@.status=="True")].message',
      priority: 1,
    },
  ];
}

const model: Column = { name: 'Model', type: 'string', jsonPath: '.spec.model.uri', priority: 1 };
const emulator: Column = {
  name: 'Emulator',
  type: 'string',
  jsonPath: '.spec.emulator.ref.name',
  priority: 1,
};

const ownColumns: Readonly<Record<Kind, readonly Column[]>> = {
  EmulatorBuild: [model, { name: 'Layers', type: 'integer', jsonPath: '.spec.layers', priority: 1 }],
  OffsiteTune: [emulator],
  PlugIn: [
    model,
    emulator,
    { name: 'Adapter', type: 'string', jsonPath: '.spec.adapter.ref.name', priority: 1 },
  ],
};
