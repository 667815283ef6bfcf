import { z } from 'zod';
import { networkPolicy, rbac } from './access.ts';
import { listPassedOn, namespaces, passedOn, strings, text } from './fields.ts';
import { monitoring } from './monitoring.ts';
import { nats } from './nats.ts';
import { caBundle, proxy } from './network.ts';
import { operator } from './operator.ts';
import { worker } from './worker.ts';

/** The chart's values: the one source of values.schema.json, values.yaml and the table in the chart's README. */
export const values = z.strictObject({
  nameOverride: text("Instead of the chart's name in names and labels."),
  fullnameOverride: text('Instead of release and chart name in names.'),
  commonLabels: strings('Labels of all objects.'),
  commonAnnotations: strings('Annotations of all objects.'),
  imageRegistry: z
    .string()
    .regex(/^([a-z0-9][-a-z0-9._/:]*[a-z0-9])?$/)
    .default('')
    .describe(
      'Registry (and path) before the repositories of operator and worker, such as registry.example.com/ml.',
    ),
  imagePullSecrets: listPassedOn(
    "Pull secrets of the release's own pods: [{name: ...}]; worker pods have worker.imagePullSecrets.",
  ),
  watchNamespaces: namespaces(
    'Namespaces whose resources are worked on, with a Role in each; all, with a ClusterRole, where empty.',
  ),
  crds: z
    .strictObject({
      install: z
        .boolean()
        .default(true)
        .describe('Whether the three kinds come and are upgraded with the release; they stay when it goes.'),
      keepFields: z
        .boolean()
        .default(true)
        .describe(
          'Whether the API server refuses definitions of these kinds that lack a field of those in place, as a rollback brings them: it would take that field (spec.privacy, say) out of stored resources. A ValidatingAdmissionPolicy.',
        ),
    })
    .prefault({})
    .describe('CustomResourceDefinitions.'),
  userIds: z
    .enum(['fixed', 'cluster'])
    .default('fixed')
    .describe(
      "User and groups of all pods. fixed: 65532; cluster: none is stated, so that the cluster chooses, as OpenShift does from a namespace's range.",
    ),
  ipFamilyPolicy: z
    .enum(['', 'SingleStack', 'PreferDualStack', 'RequireDualStack'])
    .default('')
    .describe("Of the Services; the cluster's own way where empty."),
  ipFamilies: z
    .array(z.enum(['IPv4', 'IPv6']))
    .default([])
    .describe('Of the Services, in order of preference.'),
  proxy,
  caBundle,
  operator,
  worker,
  nats,
  rbac,
  networkPolicy,
  monitoring,
  extraObjects: z
    .array(z.union([z.string(), z.record(z.string(), z.unknown())]))
    .default([])
    .describe('More objects of the release, each a mapping or a text; both are read as templates.'),
  enabled: z
    .boolean()
    .default(true)
    .describe("What a parent chart's `condition` names; this chart itself does not read it."),
  global: passedOn('Values that a parent chart shares; not used.'),
});
