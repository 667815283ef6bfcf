// Artifacts: where they lie, how they are written, checked and locked, and how they get to stores and back.
export { type Mounts, overlap, realPlace, resolveUri } from './address/address.ts';
export { withStoreUris } from './address/copies.ts';
export { checkpointsOf, type WorkOwner, type WorkPlaces, workPlacesOf } from './address/work-places.ts';
export { boundedBytes, readKept, readKeptJson } from './bounded-file.ts';
export { clearAt, confineTo, isWithin, namesToClear, refuseOutside } from './confinement.ts';
export { type Files, type OpenFile, onDisk } from './files.ts';
export { mostEntries, problemOfPath } from './inner-path.ts';
export { type Alike, inPlace, type Keeper } from './keeper.ts';
export { type Lock, type LockTimes, lockTimes, TakenOver, takeLock } from './lock/lock.ts';
export { DiskLock } from './lock/on-disk.ts';
export { digestsMade, digestsMadeOnce } from './made.ts';
export { CheckedFiles } from './manifest/checked-files.ts';
export {
  canonicalJson,
  digestOf,
  fileDigest,
  filesIn,
  type HashOptions,
  hashFiles,
  sha256,
} from './manifest/digest.ts';
export { stopHashingWhere, type Written } from './manifest/hash-file.ts';
export {
  type ArtifactKind,
  type Manifest,
  manifestIn,
  type OpenedArtifact,
  openArtifact,
  pathsOf,
  peekManifest,
  sealArtifact,
  sealWritten,
} from './manifest/manifest.ts';
export { WrittenFiles } from './manifest/written-files.ts';
export { Mirror } from './mirror/mirror.ts';
export { eachAtOnce } from './mirror/pull.ts';
export type { Seen } from './mirror/push.ts';
export {
  besideOf,
  clearBeside,
  liesBeside,
  listedIn,
  type Replaceable,
  refuseOthers,
  refuseThere,
  refuseUnknown,
  writeArtifact,
  writeNewDirectory,
  writeSharedArtifact,
} from './output/replace-directory.ts';
export { refuseInside } from './output/surroundings.ts';
export { checkWritable } from './output/writable.ts';
export { ownFilesOf } from './own-files.ts';
export { copyModelFile, NotPlain, openPlain } from './plain-file.ts';
export { mostKeyBytes, nameOf, privateKeyOf, publicKeyOf, publicKeysOf } from './signature/keys.ts';
export { checkSignature, signArtifact, signatureName } from './signature/signature.ts';
export { isStoreError, StoreError } from './stores/store.ts';
export { isThere, isUnanswered, systemCodeOf } from './unanswered.ts';
export {
  cameTo,
  checkFree,
  type Described,
  type Destination,
  doneOrFree,
  identityOf,
  type Sealing,
  seal,
  type Work,
} from './work.ts';
export { writeWhole, writeWholeAmongOthers, writeWholeOver } from './write-whole.ts';
