export {
  type ArtifactKind,
  type Manifest,
  type OpenedArtifact,
  openArtifact,
  peekManifest,
  sealArtifact,
} from './artifact.ts';
export { canonicalJson, digestOf, fileDigest, sha256 } from './digest.ts';
export { type Mounts, resolveUri, writeArtifact } from './place.ts';
