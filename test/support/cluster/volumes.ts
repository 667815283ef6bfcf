import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { kubectl } from './kubectl.ts';
import { nodeName } from './node-configuration.ts';

const count = 16;
/** As whom the images' processes run. */
const owner = 65532;

/** A default storage class over directories of this machine: volumes made before, bound to claims as they come. */
export function prepareVolumes(kubeconfig: string, directory: string): void {
  const items = [storageClass, ...Array.from({ length: count }, (_, i) => volume(directory, i))];
  kubectl(kubeconfig, ['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

/** The directory on this machine that a bound claim is. */
export function directoryOf(kubeconfig: string, namespace: string, claim: string): string {
  const names = ['get', 'pvc', claim, '--namespace', namespace, '-o', 'jsonpath={.spec.volumeName}'];
  return kubectl(kubeconfig, ['get', 'pv', kubectl(kubeconfig, names), '-o', 'jsonpath={.spec.local.path}']);
}

const storageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'local', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'kubernetes.io/no-provisioner',
};

function volume(parent: string, number: number) {
  const name = `local-${number}`;
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  chownSync(path, owner, owner);
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      capacity: { storage: '50Gi' },
      accessModes: ['ReadWriteOnce', 'ReadWriteMany'],
      storageClassName: 'local',
      persistentVolumeReclaimPolicy: 'Retain',
      local: { path },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }] },
          ],
        },
      },
    },
  };
}
