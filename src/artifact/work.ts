/** A stage's work in one shape: described, looked for at its output, and, where it is not there, computed and sealed. */
import { inPlace, type Keeper } from './keeper.ts';
import { canonicalJson, sha256 } from './manifest/digest.ts';
import { type ArtifactKind, type Manifest, peekManifest, sealArtifact } from './manifest/manifest.ts';
import { refuseUnknown, writeArtifact } from './output/replace-directory.ts';

/** Of what an artifact is made, and how. Equal work makes the same artifact, so what lies there already is not made again. */
export interface Work {
  readonly kind: ArtifactKind;
  readonly madeFrom: Record<string, string>;
  readonly hyperparameters: Record<string, unknown>;
}

/** The artifact at an output, as far as its manifest tells. */
export interface Made {
  readonly manifest: Manifest;
  readonly digest: string;
}

/** A name for all that work depends on, by which what is kept of it while it is unfinished is known again. */
export const identityOf = ({ madeFrom, hyperparameters }: Omit<Work, 'kind'>): string =>
  sha256(canonicalJson({ madeFrom, hyperparameters }));

/** The artifact at the output, where it is of this very work. */
export function doneBefore(output: string, work: Work): Made | undefined {
  const there = peekManifest(output);
  return there !== undefined && written(there.manifest) === written(work) ? there : undefined;
}

const written = ({ kind, madeFrom, hyperparameters }: Work) =>
  canonicalJson({ kind, madeFrom, hyperparameters });

/**
 * The same, asked before anything is computed.
 * @throws OffsiteError BadSpec where another artifact lies there, which may not be replaced
 */
export function doneOrFree(output: string, work: Work, mayReplace = true): Made | undefined {
  const done = doneBefore(output, work);
  if (done === undefined) refuseUnknown(output, mayReplace);
  return done;
}

export interface Sealing {
  /** Writes the artifact's files into this directory. @returns what its manifest says of them */
  readonly fill: (directory: string) => Scores | Promise<Scores>;
  /** Throws where what was read has been changed since: the artifact would be of other things than it says. */
  readonly checkUnchanged: () => void;
  /** Knows whether the output is still ours. */
  readonly keeper?: Keeper | undefined;
}

type Scores = Record<string, unknown>;

/**
 * Writes the work's artifact, whole or not at all.
 * @throws OffsiteError BadSpec where something else lies there; what `fill`, `checkUnchanged` and the keeper throw
 */
export async function seal(
  output: string,
  work: Work,
  { fill, checkUnchanged, keeper = inPlace }: Sealing,
): Promise<{ digest: string; sizeBytes: number }> {
  let sealed = { digest: '', sizeBytes: 0 };
  const write = async (directory: string) => {
    const scores = await fill(directory);
    checkUnchanged();
    sealed = sealArtifact(directory, { ...work, scores });
  };
  await writeArtifact(output, write, () => keeper.claim());
  return sealed;
}
