/** What is wrong with a resource as it is stored: what its schema says, and what holds only in a cluster. */
import { z } from 'zod';
import { bytesOf, checkResource, type Problem } from '../../../src/api/index.ts';
import type { KubeObject } from '../../runtime/index.ts';
import { isMapping } from '../json.ts';
import { annotation } from '../names.ts';
import type { Checked } from '../situation.ts';
import { formProblems } from './template-form.ts';

/** The resource with its defaults, or every problem by field. */
export function checkSpec(object: KubeObject): Checked {
  const { template, ...rest } = isMapping(object['spec']) ? object['spec'] : {};
  // Before anything else reads the template: that may go by what is refused here.
  const unreadable = formProblems(template, 'spec.template');
  if (unreadable.length > 0) return { problems: unreadable };
  const checked = checkResource(object, '');
  const problems = [
    ...('problems' in checked ? checked.problems : []),
    ...localFiles(rest, 'spec'),
    ...templateProblems(template),
  ];
  if (problems.length > 0 || !('resource' in checked)) return { problems };
  const size = sizeProblems(object).length === 0 ? sizeOf(object) : undefined;
  return { resource: checked.resource, modelBytes: size === undefined ? undefined : bytesOf(size) };
}

/** One line a problem, each with its field. */
export const problemText = (problems: readonly Problem[]): string =>
  problems.map(({ field, reason }) => `${field}: ${reason}`).join('\n');

function localFiles(value: unknown, field: string): Problem[] {
  if (Array.isArray(value)) return value.flatMap((item, i) => localFiles(item, `${field}[${i}]`));
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([name, item]) =>
    name === 'uri' && typeof item === 'string' && item.startsWith('file:')
      ? [
          {
            field: `${field}.uri`,
            reason:
              'must not be file: in a cluster (that is for `offsite run` on one machine): write pvc://CLAIM/PATH',
          },
        ]
      : localFiles(item, `${field}.${name}`),
  );
}

const name = z.string('must be a name');
const named = z.array(z.looseObject({ name }), 'must be a list of named entries');
/** The API server says of quantities neither field nor value. */
const quantityRight = 'must be a quantity, such as "4Gi" or "500m"';
const quantityPattern = /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/;
const longestQuantity = 64;
const quantityText = z
  .string()
  .refine((text) => text.length <= longestQuantity && quantityPattern.test(text), quantityRight);
const quantity = z.union([z.number(), quantityText, z.null()], quantityRight);
const quantities = z.record(z.string(), quantity).nullish();
const resources = z.looseObject({ requests: quantities, limits: quantities }).nullish();
const containers = z.array(z.looseObject({ name, resources }), 'must be a list of named entries');
const word = z.string('must be a string, in quotes').nullable();
const words = z.record(z.string(), word, 'must be a mapping of strings');
const mapping = 'must be a mapping of fields';

/**
 * Only as far as merging needs it; everything else the API server checks when the Job is made. A null takes a default away,
 * but not the lists in which the worker itself stands.
 */
const templateSchema = z.looseObject(
  {
    metadata: z.looseObject({ labels: words.nullish(), annotations: words.nullish() }, mapping).nullish(),
    spec: z
      .looseObject(
        {
          containers: containers.optional(),
          initContainers: containers.nullish(),
          volumes: named.optional(),
          imagePullSecrets: named.nullish(),
          tolerations: z.array(z.looseObject({}), 'must be a list').nullish(),
          securityContext: z.looseObject({}, mapping).nullish(),
        },
        mapping,
      )
      .optional(),
  },
  mapping,
);

function templateProblems(template: unknown): Problem[] {
  if (!isMapping(template)) return [];
  const result = templateSchema.safeParse(template);
  return (result.error?.issues ?? []).map(({ path, message }) => ({
    field: path.reduce<string>(
      (name, part) => (typeof part === 'number' ? `${name}[${part}]` : `${name}.${String(part)}`),
      'spec.template',
    ),
    reason: message,
  }));
}

/** A limit of a pod's time ends one after the other: each leaves in time, which is no failure, and the next one takes over. */
export function deadlineProblems(template: unknown): Problem[] {
  const spec = isMapping(template) && isMapping(template['spec']) ? template['spec'] : {};
  return (spec['activeDeadlineSeconds'] ?? null) === null
    ? []
    : [
        {
          field: 'spec.template.spec.activeDeadlineSeconds',
          reason:
            'ends each pod and never the work, since the next pod goes on: write spec.activeDeadlineSeconds, which ends it',
        },
      ];
}

const sizeOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[annotation.modelSize];

/** What is wrong with the annotation that tells the model's size. */
export function sizeProblems(object: KubeObject): Problem[] {
  const size = sizeOf(object);
  return size === undefined || /^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$/.test(size)
    ? []
    : [
        {
          field: `metadata.annotations[${annotation.modelSize}]`,
          reason: 'must be a quantity in quotes, such as "15Gi"',
        },
      ];
}
