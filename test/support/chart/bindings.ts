/** The bindings of the operator's account, and whether a real API server acts by them yet. */
import { spawnSync } from 'node:child_process';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { kubectl } from '../cluster/kubectl.ts';
import { kubernetesPrograms } from '../cluster/programs.ts';
import { release, render } from './helm.ts';

export interface Binding {
  metadata: { name: string; namespace?: string };
  roleRef: { kind: string; name: string };
  subjects: { kind: string; name: string; namespace: string }[];
}

/** The bindings that the chart makes for the operator's account. */
export const bindings = (values: object): Binding[] =>
  render(values)
    .filter(({ kind }) => kind === 'RoleBinding' || kind === 'ClusterRoleBinding')
    .map((binding) => binding as unknown as Binding)
    .filter(({ subjects }) => subjects.some(isOperatorsAccount));

const isOperatorsAccount = ({ name }: { name: string }) => name === `${release.name}-operator`;

/** Whether the API server acts by a binding yet: it hears of roles and of bindings in its own time. */
export function isInForce(plane: ControlPlane, { metadata, roleRef, subjects: [subject] }: Binding): boolean {
  const where = metadata.namespace === undefined ? [] : ['--namespace', metadata.namespace];
  const role = [
    'get',
    roleRef.kind,
    roleRef.name,
    ...(roleRef.kind === 'Role' ? where : []),
    '--output',
    'json',
  ];
  const { rules } = JSON.parse(kubectl(plane.kubeconfig, role));
  return rules.every(({ apiGroups, resources, verbs, resourceNames = [] }: Rule) => {
    const [resource, subresource] = resources[0]!.split('/');
    const asked = [
      verbs[0]!,
      `${[resource, apiGroups[0]].filter(Boolean).join('.')}${resourceNames[0] ? `/${resourceNames[0]}` : ''}`,
      ...(subresource ? ['--subresource', subresource] : []),
      ...(metadata.namespace === undefined ? ['--all-namespaces'] : where),
    ];
    return may(plane, asked, `system:serviceaccount:${subject!.namespace}:${subject!.name}`);
  });
}

export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

/** Whether the API server lets a user do what `kubectl auth can-i` is asked. */
export function may(plane: ControlPlane, asked: readonly string[], user: string): boolean {
  const { kubectl: program } = kubernetesPrograms('kubectl');
  const all = ['--kubeconfig', plane.kubeconfig, 'auth', 'can-i', ...asked, '--as', user, '--quiet'];
  return spawnSync(program, all).status === 0;
}

/** The rules of the role that a binding of the chart gives. */
export const rulesOf = (values: object, { metadata, roleRef }: Binding): Rule[] =>
  render(values).find(
    (each) =>
      each.kind === roleRef.kind &&
      each.metadata.name === roleRef.name &&
      (roleRef.kind === 'ClusterRole' || each.metadata.namespace === metadata.namespace),
  )?.['rules'];
