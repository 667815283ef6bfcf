/** A stage's work in one shape: described, looked for at its output, and, where it is not there, computed and sealed. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec, engineUnavailable } from '../api/index.ts';
import { clearAt, refuseOutside } from './confinement.ts';
import { inPlace, type Keeper } from './keeper.ts';
import { digestMade, digestsMade, writeMade } from './made.ts';
import { canonicalJson, sha256 } from './manifest/digest.ts';
import { type ArtifactKind, type Manifest, peekManifest, sealWritten } from './manifest/manifest.ts';
import { WrittenFiles } from './manifest/written-files.ts';
import {
  keptAt,
  layLeft,
  type Replaceable,
  refuseUnknown,
  writeArtifact,
} from './output/replace-directory.ts';

/** Of what an artifact is made, and how. Equal work makes the same artifact, so what was made already is not made again. */
export interface Work {
  readonly kind: ArtifactKind;
  readonly madeFrom: Record<string, string>;
  readonly hyperparameters: Record<string, unknown>;
  /** By what its resource knows it again, where it depends on more than the manifest may tell: on private rows. */
  readonly identity?: string;
  /** Whether two artifacts of it, where a processor gives other bits than another, would tell what one of them does not. */
  readonly isOnce?: boolean;
  /**
   * Where there may be one artifact: the names of the work that this one, or a manifest, tells of, whatever it says of what makes no
   * other. By the first it is known; the others are those of earlier versions. Its identity alone when absent.
   */
  readonly sameAs?: (said: Described) => readonly [string, ...string[]];
}

export type Described = Pick<Work, 'madeFrom' | 'hyperparameters'>;

/** Where a stage's artifact goes, and where its resource says what it has made. */
export interface Destination {
  readonly output: string;
  /** The resource's own directory in its work place, to which its owner alone writes. */
  readonly own: string;
  /** Brings what the own directory holds from its store and there, and knows whether the output is still ours; in place when absent. */
  readonly keeper?: Keeper | undefined;
  /** Which other artifact at the output may be replaced; any when absent. */
  readonly mayReplace?: Replaceable | undefined;
  /** The digest that the word beside the output says to be this resource's, of work of which there may be one artifact. */
  readonly told?: string | undefined;
}

/** The artifact at an output, as far as its manifest tells. */
export interface Made {
  readonly manifest: Manifest;
  readonly digest: string;
}

/** A name for all that work depends on, by which what is kept of it while it is unfinished is known again. */
export const identityOf = ({ madeFrom, hyperparameters }: Described): string =>
  sha256(canonicalJson({ madeFrom, hyperparameters }));

const identityIn = (work: Work): string => work.identity ?? identityOf(work);

/**
 * Looks whether the work's artifact may go to its output: nothing lies there, or what may be replaced, or what says that it is
 * of this very work, which remains to be seen.
 * @throws OffsiteError BadSpec where another artifact lies there, which may not be replaced
 */
export function checkFree({ output, mayReplace = true }: Destination, work: Work): void {
  if (saidToBe(output, work) === undefined) refuseUnknown(output, mayReplace);
}

/** What lies at an output, where its manifest says that it is of this work: whoever laid it there may have written so. */
function saidToBe(output: string, work: Work): Made | undefined {
  const there = peekManifest(output);
  if (there?.manifest.kind !== work.kind) return undefined;
  const nameOf = (said: Described) => work.sameAs?.(said)[0] ?? identityOf(said);
  return nameOf(there.manifest) === nameOf(work) ? there : undefined;
}

/** The digest of what this work, or one that differs in nothing that makes another, came to, in the resource's own words. */
export async function cameTo(
  { output, own, keeper = inPlace }: Destination,
  work: Work,
): Promise<string | undefined> {
  const there = saidToBe(output, work)?.manifest;
  const said = there === undefined ? [work] : [work, there];
  const names = said.flatMap((each) => work.sameAs?.(each) ?? []);
  return await digestMade(own, [identityIn(work), ...names], keeper);
}

/**
 * The artifact of this very work that the resource has made and that is still at the output; asked before anything is
 * computed. The resource's own word counts and no manifest's, since anybody can write a manifest. One of which there may be one,
 * and which was cut off on its way there, is laid there now: the next process might not come to it again.
 * @param earlier the digest of what the work came to in the words of an earlier version, where it left any
 * @throws OffsiteError BadSpec where another artifact lies there, which may not be replaced
 */
export async function doneOrFree(
  destination: Destination,
  work: Work,
  earlier?: string,
): Promise<Made | undefined> {
  const { output, keeper = inPlace } = destination;
  checkFree(destination, work);
  const there = saidToBe(output, work);
  if (there === undefined && !work.isOnce) return undefined;
  const made = (await cameTo(destination, work)) ?? earlier;
  if (there !== undefined && there.digest === made) {
    // In a store: only its manifest was looked at so far.
    await keeper.pull(output, { exact: true, sealed: true });
    return saidToBe(output, work)?.digest === made ? there : undefined;
  }
  if (made !== undefined) {
    refuseOther(destination, work, made);
    return work.isOnce ? await layOnce(destination, work, made) : undefined;
  }
  if (work.isOnce) await refuseUnremembered(destination, there);
  return undefined;
}

/** Lays what this work came to, in the resource's own words, where it lies whole beside the output. @throws as `seal` */
async function layOnce(destination: Destination, work: Work, digest: string): Promise<Made | undefined> {
  const { output, keeper = inPlace } = destination;
  const ready = async () => {
    await keeper.held();
    await keeper.claim(digest);
  };
  const mayGo = (previous: string) => refuseOther(destination, work, digest, previous);
  const manifest = await layLeft(output, digest, { ready, mayGo });
  return manifest && { manifest, digest };
}

/**
 * What lies at the output has the digest that this work came to, or may be replaced.
 * @param at where it lies now
 * @throws OffsiteError BadSpec
 */
function refuseOther(
  { output, mayReplace = true }: Destination,
  work: Work,
  digest: string,
  at = output,
): void {
  const there = keptAt(at, mayReplace);
  if (there === undefined || there.digest === digest) return;
  const said =
    saidToBe(at, work) === undefined
      ? `of kind ${there.manifest.kind} (${there.digest}) that came there while this resource's own was made; this work`
      : `(${there.digest}) whose manifest says that it is of this very work, but this work`;
  throw badSpec(
    `spec.output.uri: ${output} holds an artifact ${said} came to ${digest}, and nothing says that this resource made the other: look who put it there, and choose another place, or write spec.output.replace: true to replace it`,
  );
}

/**
 * Of what may be made once and is not remembered another is not made: it was made in another work place, this one is lost, or an
 * older state of it came back. Of an artifact that is not whole, or was taken away, the word beside it tells.
 * @throws OffsiteError BadSpec
 */
async function refuseUnremembered(destination: Destination, there: Made | undefined): Promise<void> {
  const { output, own, keeper = inPlace, mayReplace = true, told } = destination;
  if (mayReplace === true) return;
  const known = await digestsMade(own, keeper);
  const isUnknown = (digest: string | undefined) => digest !== undefined && !known.includes(digest);
  const second =
    'of which the work place knows nothing: a second one under another noise is not made, since the two together would tell more of its rows than epsilon says';
  if (isUnknown(there?.digest))
    throw badSpec(
      `spec.output.uri: ${output} holds an artifact (${there?.digest}) whose manifest says that it is of this very training, ${second}. Bring the newest state of the work place back, look who put it there, or make it again, which costs its own epsilon: by another name or spec.training.seed, or with spec.output.replace: true`,
    );
  if (isUnknown(told))
    throw badSpec(
      `spec.output.uri: what lies beside ${output} says that a resource of this name made ${told} for that place, perhaps of this very training, ${second}. Name the work place where that was made (spec.work.uri; offsite run: --work-dir), bring its newest state back, or make it again, which costs its own epsilon: with spec.output.replace: true, or by another name and at another place`,
    );
}

/** The work came to nothing else before, of which somebody may have something by now. @throws OffsiteError EngineUnavailable */
async function refuseSecond(destination: Destination, work: Work, digest: string): Promise<void> {
  const first = await cameTo(destination, work);
  if (first === undefined || first === digest) return;
  throw engineUnavailable(
    `spec.privacy: this training came to ${first} before and comes to ${digest} here, under the same noise: the two together would tell more of its rows than epsilon says, so this one is not handed over. Processors and GPUs of several kinds round otherwise: let it run on a node like the first one (spec.template's nodeSelector), or make it again under another noise, which costs its own epsilon: by another name or spec.training.seed`,
  );
}

export interface Sealing {
  /** Writes the artifact's files into this directory; the same again where it is called twice. @returns what its manifest says of them */
  readonly fill: (files: WrittenFiles, directory: string) => Scores | Promise<Scores>;
  /** Throws where what was read has been changed since: the artifact would be of other things than it says. */
  readonly checkUnchanged: () => void;
}

type Scores = Record<string, unknown>;

/**
 * What comes of work of which there may be one artifact is made in the resource's own work place first, and said there, before
 * anything of it lies where others read.
 * @returns its digest
 * @throws OffsiteError EngineUnavailable where it came to something else before, BadSpec where something else lies at the output
 */
async function sayOnce(destination: Destination, work: Work, sealing: Sealing): Promise<string> {
  const { own, keeper = inPlace } = destination;
  const directory = join(own, 'once');
  refuseOutside(directory);
  clearAt(directory);
  mkdirSync(own, { recursive: true });
  mkdirSync(directory);
  try {
    const { digest } = await sealedIn(directory, new WrittenFiles(directory), work, sealing);
    await refuseSecond(destination, work, digest);
    refuseOther(destination, work, digest);
    await keeper.held();
    await writeMade(own, wordOf(work, digest), keeper);
    return digest;
  } finally {
    clearAt(directory);
  }
}

const wordOf = (work: Work, digest: string) => ({
  identity: identityIn(work),
  ...(work.sameAs && { same: work.sameAs(work)[0] }),
  digest,
  isOnce: work.isOnce ?? false,
});

async function sealedIn(
  directory: string,
  files: WrittenFiles,
  work: Work,
  { fill, checkUnchanged }: Sealing,
): Promise<{ digest: string; sizeBytes: number }> {
  const scores = await fill(files, directory);
  checkUnchanged();
  return sealWritten(directory, files, { ...work, scores });
}

/**
 * Writes the work's artifact, whole or not at all, and first where its resource says what it has made.
 * @returns what was made, by which the output is opened from now on: others may have put something else there by then
 * @throws OffsiteError BadSpec where something else lies there; what `fill`, `checkUnchanged` and the keeper throw
 */
export async function seal(
  destination: Destination,
  work: Work,
  sealing: Sealing,
): Promise<{ digest: string; sizeBytes: number }> {
  const { output, own, keeper = inPlace } = destination;
  const { isOnce = false } = work;
  // Others may read what is made beside the output: whose it is stands there before.
  if (isOnce) await keeper.claim(await sayOnce(destination, work, sealing));
  let sealed = { digest: '', sizeBytes: 0 };
  const write = async (directory: string, files: WrittenFiles) => {
    sealed = await sealedIn(directory, files, work, sealing);
  };
  const ready = async () => {
    const { digest } = sealed;
    if (isOnce) await refuseSecond(destination, work, digest);
    refuseOther(destination, work, digest);
    await keeper.held();
    await writeMade(own, wordOf(work, digest), keeper);
    await keeper.claim(digest);
  };
  const mayGo = (previous: string) => refuseOther(destination, work, sealed.digest, previous);
  await writeArtifact(output, write, { ready, mayGo });
  return sealed;
}
