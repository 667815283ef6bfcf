// An artifact's manifest: its schema, how it seals a directory, and how the files are verified against it.
import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { badModel, listingBounds, listOf, mapOf, parseJson } from '../../api/index.ts';
import { boundedBytes } from '../bounded-file.ts';
import { type InnerPath, innerPaths } from '../inner-path.ts';
import { signatureName } from '../signature/signature.ts';
import { isThere } from '../unanswered.ts';
import { writeWhole } from '../write-whole.ts';
import { CheckedFiles } from './checked-files.ts';
import { canonicalJson, filesIn, sha256 } from './digest.ts';
import type { WrittenFiles } from './written-files.ts';

const manifestName = 'manifest.json';
/** What lies in an artifact's directory and is no file of it. */
const beside = [manifestName, signatureName];

const manifestSchema = z.object({
  kind: z.enum(['Emulator', 'Adapter', 'Model', 'PooledStates', 'Observations']),
  files: listOf(
    z.object({
      path: z.string(),
      sizeBytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  madeFrom: mapOf(z.string()),
  hyperparameters: z.record(z.string(), z.unknown()),
  scores: z.record(z.string(), z.unknown()).optional(),
});

/** What an artifact is, from what it was made and how; no time, place or speed, so that equal work has equal digests. */
export type Manifest = z.output<typeof manifestSchema>;
export type ArtifactKind = Manifest['kind'];

export interface OpenedArtifact {
  directory: string;
  manifest: Manifest;
  /** The sha256 of manifest.json. */
  digest: string;
  /** Of all files, the manifest included and a signature not. */
  sizeBytes: number;
  /** Its files, which must still be these when all has been read of them. */
  checked: CheckedFiles;
}

/**
 * Writes manifest.json last, so that a directory with a manifest is whole.
 * @throws OffsiteError BadModel for a file's name that no reader would take
 */
export function sealArtifact(directory: string, description: Omit<Manifest, 'files'>): OpenedArtifact {
  const checked = new CheckedFiles();
  const files = filesOf(directory).map((path) => ({
    path,
    sizeBytes: statSync(join(directory, path)).size,
    sha256: checked.digest(join(directory, path)).slice('sha256:'.length),
  }));
  const { manifest, text } = writeManifest(directory, files, description);
  return opened(directory, manifest, text, checked);
}

/**
 * The same where others may write as well: what was written is sealed, and not what lies there.
 * @throws OffsiteError BadModel for a file that nobody of us wrote, or that is gone
 */
export function sealWritten(
  directory: string,
  written: WrittenFiles,
  description: Omit<Manifest, 'files'>,
): { digest: string; sizeBytes: number } {
  const paths = filesOf(directory);
  written.checkNames(paths);
  const files = paths.map((path) => {
    const { sizeBytes, sha256: digest } = written.get(path);
    return { path, sizeBytes, sha256: digest.slice('sha256:'.length) };
  });
  const { manifest, text } = writeManifest(directory, files, description);
  return { digest: sha256(text), sizeBytes: sizeOf(manifest, text) };
}

const filesOf = (directory: string): InnerPath[] =>
  innerPaths(filesIn(directory), directory).filter((path) => !beside.includes(path));

function writeManifest(
  directory: string,
  files: Manifest['files'],
  { kind, madeFrom, hyperparameters, scores }: Omit<Manifest, 'files'>,
): { manifest: Manifest; text: string } {
  const manifest: Manifest = { kind, files, madeFrom, hyperparameters, ...(scores ? { scores } : {}) };
  const text = canonicalJson(manifest);
  writeWhole(join(directory, manifestName), text);
  return { manifest, text };
}

/**
 * Opens an artifact and checks that every file is what the manifest says, and that no other file lies there but a signature,
 * which is looked at where one is asked for.
 * @throws OffsiteError BadModel naming the file, or the digest that was expected
 */
export function openArtifact(
  directory: string,
  expected: { kind?: ArtifactKind; digest?: string | undefined } = {},
): OpenedArtifact {
  const { manifest, bytes } = readManifest(directory, expected.digest);
  if (expected.kind !== undefined && manifest.kind !== expected.kind) {
    throw badModel(`${directory}: is an artifact of kind ${manifest.kind}, expected ${expected.kind}`);
  }
  const listed = new Set<string>([...beside, ...manifest.files.map(({ path }) => path)]);
  const foreign = filesIn(directory).find((path) => !listed.has(path));
  if (foreign !== undefined) throw badModel(`${join(directory, foreign)}: is not in the manifest`);
  const checked = new CheckedFiles();
  for (const file of manifest.files) checkFile(directory, file.path as InnerPath, file, checked);
  return opened(directory, manifest, bytes, checked);
}

/** The manifest of a finished artifact without a look at its files, or undefined where there is none. */
export function peekManifest(directory: string): { manifest: Manifest; digest: string } | undefined {
  if (!isThere(join(directory, manifestName))) return undefined;
  const { manifest, digest } = readManifest(directory);
  return { manifest, digest };
}

/**
 * The same of bytes that lie elsewhere.
 * @param path names them in errors
 * @throws OffsiteError BadModel where they are no manifest
 */
export function manifestIn(bytes: Uint8Array, path: string): { manifest: Manifest; digest: string } {
  const manifest = parsed(bytes, path);
  innerPaths(pathsOf(manifest), path);
  return { manifest, digest: sha256(bytes) };
}

/** The paths of an artifact: those that its manifest lists, its manifest and signature with them. */
export const pathsOf = ({ files }: Manifest): string[] => [...beside, ...files.map(({ path }) => path)];

/** The same by what its manifest may be, whoever wrote it; none of what is no manifest. */
export function listedBy(bytes: Uint8Array): string[] {
  try {
    return pathsOf(parsed(bytes, manifestName));
  } catch {
    return [];
  }
}

/** @param expected compared before anything is made of the bytes: whoever may write there may write any */
function readManifest(
  directory: string,
  expected?: string,
): { manifest: Manifest; digest: string; bytes: Uint8Array } {
  const path = join(directory, manifestName);
  if (!isThere(path))
    throw badModel(`${directory}: holds no manifest.json; it is no artifact, or was not finished`);
  const bytes = boundedBytes(path, listingBounds.bytes);
  if (bytes === 'too long') throw badModel(`${path}: is longer than 16 MiB; no artifact's is`);
  if (bytes === 'no file') throw badModel(`${path}: is no plain file`);
  if (expected !== undefined && sha256(bytes) !== expected)
    throw badModel(`${directory}: its digest is ${sha256(bytes)}, expected ${expected}`);
  return { ...manifestIn(bytes, path), bytes };
}

function parsed(bytes: Uint8Array, path: string): Manifest {
  let value: unknown;
  try {
    value = parseJson(bytes, listingBounds);
  } catch (error) {
    throw badModel(`${path}: is damaged: it ${(error as Error).message}`);
  }
  const result = manifestSchema.safeParse(value);
  if (!result.success) throw badModel(`${path}: is damaged`);
  return result.data;
}

function checkFile(
  directory: string,
  path: InnerPath,
  { sizeBytes, sha256: wanted }: Manifest['files'][number],
  checked: CheckedFiles,
): void {
  const file = join(directory, path);
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw badModel(`${file}: is in the manifest but not there`);
  if (!stat.isFile()) throw badModel(`${file}: is no plain file`);
  if (stat.size !== sizeBytes)
    throw badModel(`${file}: has ${stat.size} bytes, the manifest says ${sizeBytes}`);
  if (checked.digest(file) !== `sha256:${wanted}`)
    throw badModel(`${file}: its sha256 is not the manifest's; it was changed`);
}

function opened(
  directory: string,
  manifest: Manifest,
  text: string | Uint8Array,
  checked: CheckedFiles,
): OpenedArtifact {
  return { directory, manifest, digest: sha256(text), sizeBytes: sizeOf(manifest, text), checked };
}

const sizeOf = ({ files }: Manifest, text: string | Uint8Array): number =>
  files.reduce((sum, file) => sum + file.sizeBytes, Buffer.byteLength(text));
