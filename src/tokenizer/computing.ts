// A tokenizer's process, and whom its ends are due to.
import { badModel, printable } from '../api/index.ts';
import { type Limits, type Outcome, Subprocess, shareOfMemory } from '../subprocess/index.ts';
import type { Reply, Request } from './program/messages.ts';

/** Beside the seconds one more for every 64 KiB of text. */
const defaultLimits: Limits = { seconds: 30, memory: shareOfMemory(2 ** 31) };
const textASecond = 2 ** 16;
const heapMebibytes = 1024;

export interface ComputingOptions {
  /** tokenizer.json's path, for messages. */
  readonly file: string;
  /** Whether the work is no longer wanted: the process is ended at once. */
  readonly cancelled?: (() => boolean) | undefined;
  readonly limits?: Limits | undefined;
  /** Whether what is asked is public: how a tokenizer or a template fails is told of such texts only, since its maker may choose that by a word of theirs. */
  readonly isPublic?: boolean | undefined;
}

/**
 * A process of its own for tokenizers and chat templates that came from outside. The reference library ends the process
 * that it runs in where a pattern gives up.
 */
export class Computing {
  readonly #file: string;
  readonly #limits: Limits;
  readonly #isPublic: boolean;
  readonly #process: Subprocess<Request, Reply>;
  /** Why the process has ended, which is due to one request: those behind it end as it did. */
  #problem: Error | undefined;

  constructor({ file, limits = defaultLimits, cancelled, isPublic = false }: ComputingOptions) {
    this.#isPublic = isPublic;
    this.#file = file;
    this.#limits = limits;
    this.#process = new Subprocess({
      program: new URL('./program/work.ts', import.meta.url),
      heapMebibytes,
      // The library's own threads would be as many as the machine's.
      environment: { RAYON_NUM_THREADS: '1', TOKENIZERS_PARALLELISM: 'false' },
      cancelled,
    });
  }

  /**
   * @param text characters that the request computes on
   * @throws OffsiteError BadModel naming the tokenizer or its template where it fails, or takes more than it may, with the reason of what is public; Cancelled
   */
  async request(request: Request, text: number): Promise<Reply> {
    const limits = { ...this.#limits, seconds: this.#limits.seconds + Math.ceil(text / textASecond) };
    const outcome = await this.#process.request(request, limits);
    if (!('reply' in outcome)) {
      this.#problem ??= this.#problemOf(request, outcome, limits);
      throw this.#problem;
    }
    const { reply } = outcome;
    if ('failed' in reply) throw this.#unusable(request, reply.failed);
    return reply;
  }

  /** Ends the process, whatever it does. */
  close(): void {
    this.#process.close();
  }

  /** Killed from outside it may work another time; ended by itself it will do so again. */
  #problemOf(request: Request, outcome: Outcome<never>, { seconds, memory }: Limits): Error {
    const about = `${this.#file}: ${subject(request)}`;
    if ('killed' in outcome)
      return new Error(
        `${this.#file}: the process that computes ${subject(request)} was killed; it may need more memory`,
      );
    if ('failed' in outcome || !this.#tells(request))
      return this.#unusable(request, 'failed' in outcome ? outcome.failed : '');
    if ('ended' in outcome)
      return badModel(`${about} cannot be used: the tokenizers library breaks off on it (${outcome.ended})`);
    return badModel(
      'exceeded' in outcome && outcome.exceeded === 'time'
        ? `${about} was ended after ${seconds} s of computing: ${endless[request.what]}`
        : `${about} was ended at ${Math.round(memory / 2 ** 20)} MiB of memory`,
    );
  }

  #unusable(request: Request, why: string): Error {
    const told = this.#tells(request)
      ? printable(why.slice(0, 300))
      : 'it fails on some text of the rows, or takes more time or memory for it than it may; try it on public ones (offsite verify)';
    return badModel(`${this.#file}: ${subject(request)} cannot be used: ${told}`);
  }

  /** A start is of no text. */
  #tells({ what }: Request): boolean {
    return this.#isPublic || what === 'load';
  }
}

const subject = ({ what }: Request) => (what === 'render' ? 'its chat template' : 'the tokenizer');

const endless = {
  load: 'it may be too large',
  encode: 'a pattern in it may try again and again without end',
  render: 'a loop in it may have no end',
} as const;
