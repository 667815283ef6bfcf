export {
  type ArtifactKind,
  type Manifest,
  type OpenedArtifact,
  openArtifact,
  peekManifest,
  sealArtifact,
} from './artifact.ts';
export { CheckedFiles } from './checked-files.ts';
export { withStoreUris } from './copies.ts';
export { canonicalJson, digestOf, fileDigest, sha256 } from './digest.ts';
export { problemOfPath } from './inner-path.ts';
export { type Alike, inPlace, type Keeper } from './keeper.ts';
export { Mirror } from './mirror.ts';
export {
  checkReplaceable,
  clearSiblings,
  type Mounts,
  resolveUri,
  writeArtifact,
  writeSharedArtifact,
} from './place.ts';
export { StoreError } from './store.ts';
export { writeWhole } from './whole.ts';
export { checkWritable } from './writable.ts';
