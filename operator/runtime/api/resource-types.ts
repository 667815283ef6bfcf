// The resource types of Kubernetes itself: group, version and plural, which make up a request's path.
import type { ResourceType } from './objects.ts';

const builtIn = (group: string, version: string, plural: string, kind: string): ResourceType => ({
  group,
  version,
  plural,
  kind,
  namespaced: true,
});

/** The kinds of Kubernetes itself that an operator commonly touches. */
export const jobs = builtIn('batch', 'v1', 'jobs', 'Job');
export const pods = builtIn('', 'v1', 'pods', 'Pod');
export const secrets = builtIn('', 'v1', 'secrets', 'Secret');
export const configMaps = builtIn('', 'v1', 'configmaps', 'ConfigMap');
export const persistentVolumeClaims = builtIn('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim');
export const leases = builtIn('coordination.k8s.io', 'v1', 'leases', 'Lease');
export const events = builtIn('events.k8s.io', 'v1', 'events', 'Event');
export const namespaces: ResourceType = {
  ...builtIn('', 'v1', 'namespaces', 'Namespace'),
  namespaced: false,
};
