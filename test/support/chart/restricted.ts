import type { Manifest } from './helm.ts';

/** A pod's template with the name of what it belongs to. */
export interface PodOf {
  owner: string;
  labels: Record<string, string>;
  spec: PodSpec;
}

interface Container {
  name: string;
  image: string;
  ports?: { name?: string; hostPort?: number; containerPort: number }[];
  securityContext?: {
    privileged?: boolean;
    allowPrivilegeEscalation?: boolean;
    readOnlyRootFilesystem?: boolean;
    runAsNonRoot?: boolean;
    runAsUser?: number;
    capabilities?: { drop?: string[]; add?: string[] };
  };
  resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
}

interface PodSpec {
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  securityContext?: { runAsNonRoot?: boolean; runAsUser?: number; seccompProfile?: { type: string } };
  containers: Container[];
  initContainers?: Container[];
  volumes?: Record<string, unknown>[];
}

/** Every pod that these objects are or make. */
export function podsOf(manifests: readonly Manifest[]): PodOf[] {
  return manifests.flatMap((manifest) => {
    const owner = `${manifest.kind} ${manifest.metadata.name}`;
    if (manifest.kind === 'Pod')
      return [{ owner, labels: manifest.metadata.labels ?? {}, spec: manifest['spec'] }];
    const template = manifest['spec']?.template;
    if (template?.spec?.containers === undefined) return [];
    return [{ owner, labels: template.metadata.labels, spec: template.spec }];
  });
}

const volumeTypes = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

/** `numbered`: whether the pod itself states a user, or the cluster gives one. What Pod Security `restricted` would refuse, and what we ask beyond it: a read-only root, requests and a memory limit. */
export function problemsOf({ spec }: PodOf, { numbered = true } = {}): string[] {
  const problems: string[] = [];
  const expect = (holds: boolean, problem: string) => void (holds || problems.push(problem));
  expect(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC, 'uses a namespace of the host');
  expect(spec.securityContext?.seccompProfile?.type === 'RuntimeDefault', 'has no seccomp profile');
  for (const { name, ...source } of spec.volumes ?? [])
    expect(
      Object.keys(source).every((type) => volumeTypes.includes(type)),
      `volume ${name} is of a forbidden type`,
    );
  for (const { name, securityContext = {}, ports = [], resources } of [
    ...(spec.initContainers ?? []),
    ...spec.containers,
  ]) {
    const of = (problem: string) => `container ${name} ${problem}`;
    expect(!securityContext.privileged, of('is privileged'));
    expect(securityContext.allowPrivilegeEscalation === false, of('may escalate'));
    expect(securityContext.readOnlyRootFilesystem === true, of('can write its root'));
    expect(securityContext.capabilities?.drop?.includes('ALL') === true, of('keeps capabilities'));
    expect((securityContext.capabilities?.add ?? []).length === 0, of('adds capabilities'));
    expect(
      (securityContext.runAsNonRoot ?? spec.securityContext?.runAsNonRoot) === true,
      of('may run as root'),
    );
    expect(
      !numbered || (securityContext.runAsUser ?? spec.securityContext?.runAsUser ?? 0) > 0,
      of('has no numeric user'),
    );
    expect(
      ports.every(({ hostPort }) => hostPort === undefined),
      of('takes a port of the host'),
    );
    expect(resources?.requests?.['memory'] !== undefined, of('asks for no memory'));
    expect(resources?.limits?.['memory'] !== undefined, of('has no memory limit'));
  }
  return problems;
}
