export { type Mounts, overlap, realPlace, resolveUri } from './address.ts';
export {
  type ArtifactKind,
  type Manifest,
  type OpenedArtifact,
  openArtifact,
  peekManifest,
  sealArtifact,
} from './artifact.ts';
export { boundedBytes, readKeptJson } from './bounded-file.ts';
export { CheckedFiles } from './checked-files.ts';
export { withStoreUris } from './copies.ts';
export { canonicalJson, digestOf, fileDigest, sha256 } from './digest.ts';
export { problemOfPath } from './inner-path.ts';
export { type Alike, inPlace, type Keeper } from './keeper.ts';
export { type Lock, type LockTimes, lockTimes, TakenOver, takeLock } from './lock.ts';
export { DiskLock } from './lock-on-disk.ts';
export { Mirror } from './mirror.ts';
export {
  besideOf,
  clearBeside,
  liesBeside,
  listedIn,
  refuseOthers,
  refuseUnknown,
  writeArtifact,
  writeSharedArtifact,
} from './replace-directory.ts';
export { StoreError } from './store.ts';
export { writeWhole } from './whole.ts';
export { checkpointsOf, type WorkOwner, type WorkPlaces, workPlacesOf } from './work.ts';
export { checkWritable } from './writable.ts';
