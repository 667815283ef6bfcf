// Results: whole in the work place, so that finished work is not done again, and beside the artifact what its readers may know.
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { badSpec, kinds, listOf } from '../../api/index.ts';
import {
  boundedBytes,
  canonicalJson,
  isStoreError,
  type Mirror,
  peekManifest,
  readKept,
  type Seen,
  writeWhole,
  writeWholeOver,
} from '../../artifact/index.ts';
import type { StageEvent } from '../../progress/index.ts';
import { prepares, type StageJob } from '../job.ts';
import { outputOf, workOf } from '../places.ts';
import type { BringingBeside } from './bringing.ts';
import { type KnownWork, knownWork, madeWorkMark } from './work-mark.ts';

type Result = Extract<StageEvent, { type: 'result' }>;

const schema = z.object({
  identity: z.string(),
  stage: z.string(),
  result: z.looseObject({ artifact: z.object({ digest: z.string() }).loose().optional() }),
});

/** `<output>.result.json`: what the artifact's readers may know of the result, beside the artifact and never in it. */
export const resultFileOf = (output: string): string => `${output}.result.json`;

/** The whole result, where only the resource's owner reads. */
const wholeResultOf = (job: StageJob): string => join(workOf(job).own, 'result.json');

const field = 'spec.output.uri';

export const ownerSchema = z.object({ kind: z.string(), namespace: z.string(), name: z.string() });

/** Whose an artifact is: its resource by name, so that one that was deleted and made again finds its own by its work place. */
export type Owner = z.output<typeof ownerSchema>;

export function ownerOf({ resource: { kind, metadata } }: StageJob): Owner {
  return { kind, namespace: metadata.namespace ?? 'default', name: metadata.name };
}

/** What an output's result file says of it; the owner is absent in those of earlier versions. */
const markSchema = z.object({
  owner: ownerSchema,
  /** The marks of the work places that made it; absent where none was kept, and in those of earlier versions. */
  works: listOf(z.string()).optional(),
  /** While an artifact takes its place: its own, and the resource's earlier one. */
  digests: listOf(z.string()).optional(),
  /** What is being brought to the store just now, with what lay there before. */
  files: listOf(z.string()).optional(),
  /** The mark of what comes up of it. */
  writer: z.string().optional(),
  /** The marks of what lay there before. */
  earlier: listOf(z.string()).optional(),
  result: z.looseObject({ artifact: z.object({ digest: z.string() }).optional() }).optional(),
});

type Mark = z.output<typeof markSchema>;

/** What is written there beside whose it is. */
interface Told extends Pick<Mark, 'result'>, Partial<BringingBeside> {
  readonly digests?: readonly string[] | undefined;
  readonly stage?: string;
}

/** Which artifacts a result file is of: first the one that it tells of, or that is to come. */
export const digestsIn = ({ digests = [], result }: Pick<Told, 'digests' | 'result'>): string[] => [
  ...digests,
  ...(result?.artifact === undefined ? [] : [result.artifact.digest]),
];

/** Stands for the work place of who left no mark, or laid it there by hand. */
const unmarked = '';

/** What a result file has of ours; one of an earlier version names no owner. */
const oursSchema = z.union([
  z.looseObject({ owner: ownerSchema }),
  z.looseObject({ stage: z.string(), result: z.looseObject({}) }),
]);

/** No result of ours comes to more. */
const mostBytes = 64 << 20;

/** The file beside the artifact, written whole or not at all, and only over what this process has seen or written there. */
export class ResultFile {
  readonly #mirror: Mirror;
  readonly #file: string;
  /** Its name in messages. */
  readonly #place: string;
  readonly #stored: Seen;
  readonly #job: StageJob;
  #work: KnownWork;
  #bytes: Uint8Array | undefined;

  private constructor(
    mirror: Mirror,
    job: StageJob,
    { file, place, stored, work }: { file: string; place: string; stored: Seen; work: KnownWork },
  ) {
    this.#mirror = mirror;
    this.#file = file;
    this.#place = place;
    this.#stored = stored;
    this.#job = job;
    this.#work = work;
    const there = lstatSync(file, { throwIfNoEntry: false });
    const bytes = there?.isFile() ? boundedBytes(file, mostBytes) : undefined;
    this.#bytes = typeof bytes === 'string' ? undefined : bytes;
    if (there !== undefined && (!this.#bytes || (this.#bytes.length > 0 && !readKept(oursSchema, file))))
      throw badSpec(
        `${field}: ${place} is there and is no result of ours; the result is written there: move that away, or choose another place`,
      );
  }

  /** @throws OffsiteError BadSpec where somebody else's lies there */
  static async look(job: StageJob, mirror: Mirror): Promise<ResultFile> {
    const output = outputOf(job);
    const file = resultFileOf(output);
    // Looked at first: what comes between the two is not what was seen.
    const stored = await mirror.look(file);
    await mirror.pullDocument(file);
    const place = mirror.mirrors(output) ? resultFileOf(job.resource.spec.output.uri) : file;
    return new ResultFile(mirror, job, { file, place, stored, work: await knownWork(job, mirror) });
  }

  /**
   * Whose the output is, as far as it says so: this resource's alone, also or only one's of its name elsewhere, or one's of
   * another name.
   */
  mark(): (Mark & { whose: 'own' | 'namesake' | 'other' }) | undefined {
    const mark = readKept(markSchema, this.#file);
    if (mark === undefined) return undefined;
    if (canonicalJson(mark.owner) !== canonicalJson(ownerOf(this.#job))) return { ...mark, whose: 'other' };
    return { ...mark, whose: this.#madeAlone(mark) ? 'own' : 'namesake' };
  }

  #madeAlone(mark: Mark): boolean {
    // There is nothing but the name, and what was taken as somebody had laid it there.
    if (!workOf(this.#job).kept) return !mark.works?.includes(unmarked);
    const { mark: own, digests } = this.#work;
    if (mark.works === undefined) return digestsIn(mark).some((digest) => digests.includes(digest));
    return mark.works.every((work) => work === own);
  }

  /**
   * @param isTaken whether it is of an artifact that somebody else had laid there
   * @throws OffsiteError BadSpec where something else came there, which stays
   */
  async write(content: Told, { isTaken = false } = {}): Promise<void> {
    const works = await this.#worksOf(content, isTaken);
    const text = canonicalJson({ owner: ownerOf(this.#job), ...content, ...(works && { works }) });
    mkdirSync(dirname(this.#file), { recursive: true });
    if (!writeWholeOver(this.#file, text, this.#bytes)) throw this.#came();
    this.#bytes = Buffer.from(text);
    try {
      await this.#mirror.push(this.#file, { exact: true }, { seen: this.#stored });
    } catch (error) {
      throw isStoreError(error, 'Changed') ? this.#came() : error;
    }
  }

  /** Of what another one of this name has made as well it stays the maker, too: neither replaces it without being told to. */
  async #worksOf(content: Told, isTaken: boolean): Promise<string[] | undefined> {
    const own = workOf(this.#job).kept ? [await this.#ownMark()] : [];
    const before = this.mark();
    const [digest] = digestsIn(content);
    const isSame = before?.whose === 'namesake' && digest !== undefined && digestsIn(before).includes(digest);
    const others = isSame ? (before.works ?? [unmarked]) : isTaken ? [unmarked] : [];
    const works = [...new Set([...others, ...own])];
    return works.length === 0 ? undefined : works;
  }

  async #ownMark(): Promise<string> {
    const mark = this.#work.mark ?? (await madeWorkMark(this.#job, this.#mirror));
    this.#work = { ...this.#work, mark };
    return mark;
  }

  #came() {
    return badSpec(
      `${field}: something came to ${this.#place} while this resource's own was made; the result is written there: move that away, or choose another place`,
    );
  }
}

interface KeptWith {
  /** Absent where results are not looked for by it: the inputs may have changed. */
  identity: string | undefined;
  mirror: Mirror;
  beside: ResultFile;
  /** Of the artifact that lay at the output before; `own` where it is this resource's. */
  digest: string | undefined;
  own: string | undefined;
}

/**
 * Writes a stage's result where its work lies and beside its artifact, each whole or not at all. Where it made no artifact, the
 * one that lies there stays whose it is.
 */
export async function keepResult(
  job: StageJob,
  { stage, result }: Result,
  { identity, mirror, beside, digest, own }: KeptWith,
): Promise<void> {
  if (identity !== undefined) {
    const file = wholeResultOf(job);
    mkdirSync(dirname(file), { recursive: true });
    writeWhole(file, canonicalJson({ identity, stage, result }));
    await mirror.push(file, { exact: true });
  }
  const shown = shownOf(job, result as Record<string, unknown>);
  const stays = 'artifact' in shown ? undefined : digest;
  if (stays !== undefined && stays !== own) return;
  await beside.write({ ...(stays !== undefined && { digests: [stays] }), stage, result: shown });
}

/** What may be told of a result: its artifact, and what its kind says that the artifact says too. */
function shownOf({ resource: { kind } }: StageJob, result: Record<string, unknown>): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const path of ['artifact', ...kinds[kind].results.shown(result)])
    copyAt(path.split('.'), result, shown);
  return shown;
}

/** Copies the value at a path, where there is one. */
function copyAt([name, ...rest]: string[], from: Record<string, unknown>, to: Record<string, unknown>): void {
  const value = name === undefined ? undefined : from[name];
  if (name === undefined || value === undefined) return;
  if (rest.length === 0) {
    to[name] = value;
    return;
  }
  to[name] ??= {};
  copyAt(rest, value as Record<string, unknown>, to[name] as Record<string, unknown>);
}

/**
 * The result of this very work, where this resource has done it before and its artifact is still there. Only what lies where
 * its work does is believed: who may write beside the artifact could have changed both.
 */
export async function findResult(
  job: StageJob,
  identity: string,
  mirror: Mirror,
): Promise<Result | undefined> {
  // Pooled states lie elsewhere and are found by the stage itself.
  if (prepares(job)) return undefined;
  const file = wholeResultOf(job);
  await mirror.pullDocument(file);
  const kept = readKept(schema, file);
  if (kept?.identity !== identity || kept.stage !== job.stage) return undefined;
  const { stage, result } = kept;
  if (result.artifact !== undefined) {
    const output = outputOf(job);
    await mirror.pullDocument(join(output, 'manifest.json'));
    if (digestAt(output) !== result.artifact.digest) return undefined;
  }
  return { type: 'result', stage, result };
}

function digestAt(output: string): string | undefined {
  try {
    return peekManifest(output)?.digest;
  } catch {
    return undefined;
  }
}
