/** What a cluster such as OpenShift does to pods: a user and a group out of its range where none is stated, and a refusal of others. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../cluster/node.ts';

/** In no file of any image. */
export const rangeUid = 1_000_680_000;

const name = 'uid-range';
const metadata = { name };
const group = 'admissionregistration.k8s.io/v1';
/** What keeps the cluster itself going has users of its own. */
const matchConstraints = {
  namespaceSelector: {
    matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['kube-system'] }],
  },
  resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
};
const stated = (field: string) =>
  `has(object.spec.securityContext) && has(object.spec.securityContext.${field})`;

const policies = [
  ...['runAsUser', 'fsGroup'].map((field) => ({
    apiVersion: group,
    kind: 'MutatingAdmissionPolicy',
    metadata: { name: `${name}-${field.toLowerCase()}` },
    spec: {
      ...{ matchConstraints, failurePolicy: 'Fail', reinvocationPolicy: 'Never' },
      matchConditions: [{ name: 'not-stated', expression: `!(${stated(field)})` }],
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: {
            expression: `Object{spec: Object.spec{securityContext: Object.spec.securityContext{${field}: ${rangeUid}}}}`,
          },
        },
      ],
    },
  })),
  {
    apiVersion: group,
    kind: 'ValidatingAdmissionPolicy',
    metadata,
    spec: {
      ...{ matchConstraints, failurePolicy: 'Fail' },
      validations: [
        {
          expression: ['runAsUser', 'fsGroup']
            .map((field) => `object.spec.securityContext.${field} == ${rangeUid}`)
            .join(' && '),
          message: `user and group must be ${rangeUid}`,
        },
        {
          expression:
            'object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.runAsUser)) && ' +
            `!(${stated('runAsGroup')})`,
          message: 'no container states a user, and no pod a group',
        },
      ],
    },
  },
];

const bindings = policies.map(({ kind, metadata }) => ({
  apiVersion: group,
  kind: `${kind}Binding`,
  metadata,
  spec: { policyName: metadata.name, ...(kind.startsWith('Validating') && { validationActions: ['Deny'] }) },
}));

const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [...policies, ...bindings] });

/** From when it returns, pods that are made are within the range. */
export async function giveUids(cluster: Cluster): Promise<void> {
  cluster.kubectl(['create', '-f', '-'], list);
  for (let tries = 0; !areGiven(cluster); tries++) {
    if (tries > 300) throw new Error('the admission policies for users have no effect');
    await sleep(100);
  }
}

export function giveUidsNoMore(cluster: Cluster): void {
  cluster.kubectl(['delete', '-f', '-'], list);
}

/** A policy has effect only when the API server has heard of it: tried with pods that are not made. */
function areGiven(cluster: Cluster): boolean {
  const made = (securityContext?: object) => {
    const containers = [{ name: 'tried', image: 'tried' }];
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers, securityContext } };
    const out = 'jsonpath={.spec.securityContext.runAsUser} {.spec.securityContext.fsGroup}';
    try {
      return cluster.kubectl(['create', '--dry-run=server', '-o', out, '-f', '-'], JSON.stringify(pod));
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };
  return made() === `${rangeUid} ${rangeUid}` && made({ runAsUser: 65532 }).includes(`must be ${rangeUid}`);
}
