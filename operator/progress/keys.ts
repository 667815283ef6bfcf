/** The keys of NATS's decentralised authorisation: who signs, who may do what. Pure but for the random keys. */
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  fromSeed,
  type Permissions,
} from '@nats-io/jwt';
import { streamName, watchersApi } from '../../src/progress/index.ts';

/** The operator's own consumer, which no other user may touch. */
export const durable = 'offsite-operator';

/** What the auth Secret holds, by key. */
export interface AuthFiles {
  /** For nats-server's configuration, by include. */
  'auth.conf': string;
  /** Of the operator's own user, which may do everything in the account. */
  'operator.creds': string;
  /** Of a user who may watch every run and change nothing. */
  'watcher.creds': string;
  /** Signs users of the account that keeps the streams: the operator's own. */
  'account.seed': string;
  /** Signs the users of runs, in an account of their own. */
  'pods.seed': string;
  /** Signs watchers, in an account of their own. */
  'watchers.seed': string;
}

const unlimited = -1;

const accountLimits = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: unlimited,
};

/** The server's own configuration bounds what all streams may take. */
const jetStreamLimits = {
  mem_storage: unlimited,
  disk_storage: unlimited,
  streams: unlimited,
  consumer: unlimited,
};

const nobodysLimits = { subs: unlimited, data: unlimited, payload: unlimited };

/** Of all pods together, and of all watchers: a run has one connection, and who opens thousands takes none from the others and the operator. */
const guestsLimits = { ...accountLimits, conn: 4096 };

/**
 * Of a run: it says little at once, and hears answers in one inbox, once: what it does not read waits in the server's memory.
 * With what the stream keeps of a subject, it fills no store.
 */
export const runLimits = { subs: 1, data: unlimited, payload: 256 * 1024 };

/** Of a watcher: it asks little at a time, and hears all answers in one inbox. */
const watcherLimits = { subs: 4, data: unlimited, payload: 4096 };

/** What pods publish crosses from their account as requests of this one service. */
const told = { name: 'events', subject: 'offsite.v1.>', type: 'service' } as const;

/** What watchers ask: each is answered once, and changes nothing. None makes a consumer, which delivers where its maker likes. */
const asked = { info: `STREAM.INFO.${streamName}`, message: `STREAM.MSG.GET.${streamName}` };

/**
 * A new installation's keys: an operator, a system account, the account that keeps the streams, the account of pods, and that
 * of watchers. A server sends its answers to whatever reply subject a sender named, asking no permission. Of a request from
 * another account that subject stays in that account, where there is nothing but the senders' inboxes.
 */
export async function generateAuth(): Promise<AuthFiles> {
  const [operator, system] = [createOperator(), createAccount()];
  const [account, pods, watchers] = [createAccount(), createAccount(), createAccount()];
  const signed = { signer: operator };
  const operatorJwt = await encodeOperator('offsite-tuning', operator, {
    system_account: system.getPublicKey(),
  });
  const systemJwt = await encodeAccount('SYS', system, { limits: accountLimits }, signed);
  const services = Object.entries(asked).map(([name, call]) => ({ name, call, type: 'service' as const }));
  const exports = services.map(({ call, ...service }) => ({ ...service, subject: `$JS.API.${call}` }));
  const accountJwt = await encodeAccount(
    'OFFSITE',
    account,
    { limits: { ...accountLimits, ...jetStreamLimits }, exports: [told, ...exports] },
    signed,
  );
  const from = { account: account.getPublicKey() };
  const podsJwt = await encodeAccount(
    'PODS',
    pods,
    { limits: guestsLimits, imports: [{ ...told, ...from }] },
    signed,
  );
  const imports = services.map(({ call, ...service }) => ({
    ...service,
    ...from,
    subject: `$JS.API.${call}`,
    local_subject: `${watchersApi}.${call}`,
  }));
  const watchersJwt = await encodeAccount('WATCHERS', watchers, { limits: guestsLimits, imports }, signed);
  const watchersSeed = text(watchers.getSeed());
  const seed = text(account.getSeed());
  return {
    'auth.conf': `${[
      `operator: ${operatorJwt}`,
      `system_account: ${system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      `  ${system.getPublicKey()}: ${systemJwt}`,
      `  ${account.getPublicKey()}: ${accountJwt}`,
      `  ${pods.getPublicKey()}: ${podsJwt}`,
      `  ${watchers.getPublicKey()}: ${watchersJwt}`,
      '}',
    ].join('\n')}\n`,
    'operator.creds': await userCredentials(seed, 'operator', {}),
    'watcher.creds': await userCredentials(watchersSeed, 'watcher', watcherMay, watcherLimits),
    'account.seed': seed,
    'pods.seed': text(pods.getSeed()),
    'watchers.seed': watchersSeed,
  };
}

/** A user of the account. @returns the text of its .creds file */
export async function userCredentials(
  accountSeed: string,
  name: string,
  permissions: Permissions,
  limits = nobodysLimits,
): Promise<string> {
  const account = fromSeed(new TextEncoder().encode(accountSeed.trim()));
  const user = createUser();
  const jwt = await encodeUser(name, user, account, { ...limits, ...permissions });
  return text(fmtCreds(jwt, user));
}

/** Asks for the stream's messages, one by one, and hears the answers. */
const watcherMay: Permissions = {
  pub: { allow: Object.values(asked).map((call) => `${watchersApi}.${call}`) },
  sub: { allow: ['_INBOX_watch.>'] },
};

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
