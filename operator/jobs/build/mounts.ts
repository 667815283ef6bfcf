/** Which claims and Secrets a stage's pod sees: those of its own places, read-only unless it writes there, and its keys. */
import { claimAt, keyAt, keyFiles, secretAt } from '../../../src/api/index.ts';
import { claimOf } from '../addresses.ts';
import type { Json } from '../json.ts';
import type { Place, StageWork } from '../stages.ts';

export interface Mounts {
  readonly volumes: readonly Json[];
  readonly volumeMounts: readonly Json[];
}

/** Volumes and mounts: each claim, each Secret and each key where the worker looks for it. */
export function mountsOf({ reads, writes, keys = [] }: StageWork): Mounts {
  const written = new Set(claimsOf(writes));
  const claims = claimsOf([...reads, ...writes]);
  const secrets = [
    ...new Set([...reads, ...writes].flatMap(({ secret }) => (secret === undefined ? [] : [secret]))),
  ].sort();
  return {
    volumes: [
      ...claims.map((claimName, i) => ({ name: claimVolume(i), persistentVolumeClaim: { claimName } })),
      ...secrets.map((secretName, i) => ({
        name: secretVolume(i),
        secret: { secretName, defaultMode: 0o440 },
      })),
      // Nothing else of the Secret: who may check signatures is not to sign.
      ...keys.map(({ kind, secret: secretName }, i) => ({
        name: keyVolume(i),
        secret: { secretName, items: [{ key: keyFiles[kind], path: keyFiles[kind] }], defaultMode: 0o440 },
      })),
    ],
    volumeMounts: [
      ...claims.map((claim, i) => ({
        name: claimVolume(i),
        mountPath: claimAt(claim),
        ...(!written.has(claim) && { readOnly: true }),
      })),
      ...secrets.map((secret, i) => ({
        name: secretVolume(i),
        mountPath: secretAt(secret),
        readOnly: true,
      })),
      ...keys.map((key, i) => ({ name: keyVolume(i), mountPath: keyAt(key), readOnly: true })),
    ],
  };
}

/** The claims' names, each once, in order. */
export function claimsOf(places: readonly Place[]): string[] {
  return [...new Set(places.flatMap(({ uri }) => claimOf(uri) ?? []))].sort();
}

// A claim's name may be longer than a volume's, so volumes are counted.
const claimVolume = (i: number) => `offsite-claim-${i}`;
const secretVolume = (i: number) => `offsite-secret-${i}`;
const keyVolume = (i: number) => `offsite-key-${i}`;
