// The kinds' declarations as CustomResourceDefinitions: names, printer columns, structural schemas and CEL rules.
import { nameRule } from './fields.ts';
import type { Column, Declaration } from './kinds/declare.ts';
import { type Kind, kinds } from './kinds/index.ts';
import { apiVersion, group, version } from './resources.ts';
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

/** As templates of the chart they are upgraded with it, and stay, with all resources, when it or its manifest goes: Helm, Argo CD, Flux. */
const keeping = {
  'helm.sh/resource-policy': 'keep',
  'argocd.argoproj.io/sync-options': 'Prune=false,Delete=false',
  'kustomize.toolkit.fluxcd.io/prune': 'disabled',
};

/** The CustomResourceDefinitions of all kinds, ready for `kubectl apply`. */
export function crds(): CustomResourceDefinition[] {
  return Object.values(kinds).map(definitionOf);
}

function definitionOf(declaration: Declaration<Kind>): CustomResourceDefinition {
  const { kind, names, spec, status, description } = declaration;
  const { plural, singular, short } = names;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      annotations: keeping,
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        shortNames: [short],
        categories: ['offsite'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columnsOf(declaration),
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

function columnsOf({ columns }: Declaration): Column[] {
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
    ...columns,
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    {
      name: 'Message',
      type: 'string',
      jsonPath: '.status.conditions[?(@.status=="True")].message',
      priority: 1,
    },
  ];
}
