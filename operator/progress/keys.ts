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

const stream = 'OFFSITE';
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
  /** Signs users of the account that keeps the streams: the operator's own, and watchers. */
  'account.seed': string;
  /** Signs the users of runs, in an account of their own. */
  'pods.seed': string;
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

/** Of all pods together: each has one connection, and a run that opens thousands takes none from the operator and watchers. */
const podsLimits = { ...accountLimits, conn: 4096 };

/**
 * Of a run: it says little at once, and hears answers in one inbox, once: what it does not read waits in the server's memory.
 * With what the stream keeps of a subject, it fills no store.
 */
export const runLimits = { subs: 1, data: unlimited, payload: 256 * 1024 };

/** What pods publish crosses from their account as requests of this one service. */
const told = 'offsite.v1.>';

/**
 * A new installation's keys: an operator, a system account, the account that keeps the streams, and the account of pods.
 * A server sends a message's acknowledgement to whatever reply subject its sender named, asking no permission. Of a
 * request from another account that subject stays in that account, where there is nothing but the senders' inboxes.
 */
export async function generateAuth(): Promise<AuthFiles> {
  const [operator, system] = [createOperator(), createAccount()];
  const [account, pods] = [createAccount(), createAccount()];
  const operatorJwt = await encodeOperator('offsite-tuning', operator, {
    system_account: system.getPublicKey(),
  });
  const systemJwt = await encodeAccount('SYS', system, { limits: accountLimits }, { signer: operator });
  const accountJwt = await encodeAccount(
    'OFFSITE',
    account,
    {
      limits: { ...accountLimits, ...jetStreamLimits },
      exports: [{ name: 'events', subject: told, type: 'service' }],
    },
    { signer: operator },
  );
  const podsJwt = await encodeAccount(
    'PODS',
    pods,
    {
      limits: podsLimits,
      imports: [{ name: 'events', subject: told, type: 'service', account: account.getPublicKey() }],
    },
    { signer: operator },
  );
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
      '}',
    ].join('\n')}\n`,
    'operator.creds': await userCredentials(seed, 'operator', {}),
    'watcher.creds': await userCredentials(seed, 'watcher', watcherMay()),
    'account.seed': seed,
    'pods.seed': text(pods.getSeed()),
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

/** Reads the stream by consumers of its own; it cannot take messages from the operator's. */
function watcherMay(): Permissions {
  const own = ['CONSUMER.CREATE', 'CONSUMER.INFO', 'CONSUMER.MSG.NEXT'].map(
    (call) => `$JS.API.${call}.${stream}.>`,
  );
  const others = ['CONSUMER.CREATE', 'CONSUMER.MSG.NEXT'].flatMap((call) => [
    `$JS.API.${call}.${stream}.${durable}`,
    `$JS.API.${call}.${stream}.${durable}.>`,
  ]);
  return {
    pub: { allow: [`$JS.API.STREAM.INFO.${stream}`, ...own], deny: others },
    sub: { allow: ['offsite.v1.>', '_INBOX_watch.>'] },
  };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
