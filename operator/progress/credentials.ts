/** Credentials for NATS: made once for an installation, and for each run a user that can publish that run's events only. */
import { type RunAddress, type StageEvent, subjectOf } from '../../src/progress/index.ts';
import { type AuthFiles, generateAuth, runLimits, userCredentials } from './keys.ts';

/** The one Secret that the keys are kept in. */
export interface AuthSecretStore {
  /** Its values, decoded; undefined where there is none. */
  get(): Promise<Readonly<Record<string, string>> | undefined>;
  /** @returns false where somebody else was faster */
  create(values: Readonly<Record<string, string>>): Promise<boolean>;
}

/** What the operator itself needs. A Secret that an administrator made for another NATS may hold no more than these. */
const needed = ['operator.creds', 'account.seed'] as const;

type Kept = Pick<AuthFiles, (typeof needed)[number]> & Partial<AuthFiles>;

const eventTypes = ['progress', 'warning', 'result'] as const satisfies StageEvent['type'][];

export interface RunCredentialsOptions {
  readonly store: AuthSecretStore;
  /** PEM certificates of the authority that the server's certificate is of, where pods cannot know it. */
  readonly authority?: string | undefined;
}

export class RunCredentials {
  readonly #options: RunCredentialsOptions;
  #files: Kept | undefined;

  constructor(options: RunCredentialsOptions) {
    this.#options = options;
  }

  /**
   * Makes the keys where there are none, and reads them. Several processes may do this at once: all end with the same keys.
   * @throws Error where the Secret is there but lacks a key
   */
  async ensure(): Promise<void> {
    const { store } = this.#options;
    let values = await store.get();
    if (values === undefined) {
      const made = await generateAuth();
      values = (await store.create({ ...made })) ? { ...made } : await store.get();
    }
    const lacking = needed.filter((name) => !values?.[name]);
    if (lacking.length > 0) {
      throw new Error(
        `the Secret with the keys of NATS lacks ${lacking.join(' and ')}: ` +
          'put in what is missing, or (with the NATS of the chart) delete it, then restart the operator and NATS',
      );
    }
    this.#files = values as unknown as AuthFiles;
  }

  /** What each run's pods get beside their credentials. */
  get authority(): string | undefined {
    return this.#options.authority;
  }

  /** The operator's own .creds file, as text. @throws Error before `ensure` */
  get operator(): string {
    return this.#known['operator.creds'];
  }

  /**
   * Whether runs have an account of their own: else the reply subject that a run names for an acknowledgement can be
   * another run's, and the server writes there. @throws Error before `ensure`
   */
  get separatesRuns(): boolean {
    return Boolean(this.#known['pods.seed']);
  }

  /**
   * Whether watchers have an account of their own, or the Secret has none: else what a watcher asks can be answered under
   * a run's subject, and the server keeps that. @throws Error before `ensure`
   */
  get separatesWatchers(): boolean {
    return Boolean(this.#known['watchers.seed']) || !this.#known['watcher.creds'];
  }

  /**
   * A new user that may publish this run's events, hear the answers to that, and nothing else.
   * @returns the text of a .creds file
   * @throws Error before `ensure`; BadSpec where a part of the run's name is no NATS token
   */
  async issue(run: RunAddress): Promise<string> {
    const permissions = {
      // Not what else may stand under its name: the stream keeps the last of each subject.
      pub: { allow: eventTypes.map((event) => subjectOf({ ...run, event })) },
      // Not _INBOX.>: there, others' messages come by.
      sub: { allow: [`_INBOX_${run.uid}.>`] },
    };
    const name = `${run.namespace}/${run.kind}/${run.name}`;
    const seed = this.#known['pods.seed'] || this.#known['account.seed'];
    return await userCredentials(seed, name, permissions, runLimits);
  }

  get #known(): Kept {
    if (this.#files === undefined) throw new Error('the keys of NATS are not read yet');
    return this.#files;
  }
}
