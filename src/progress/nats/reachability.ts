// Connections to NATS: address and credentials, reconnection, and whether a server answers.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats';
import { z } from 'zod';
import { badSpec, OffsiteError } from '../../api/index.ts';
import { connect } from './transport.ts';

/** Where NATS is and who we are there. Credentials: in the URL, in a file, or in the environment; none is ever shown. */
export interface NatsAddress {
  /** `nats://[user:password@|token@]host[:4222]`, or `tls://...`; several by commas. */
  url: string;
  /** A `.creds` file (NATS_CREDS where absent). */
  credentials?: string | undefined;
  environment?: NodeJS.ProcessEnv | undefined;
  /** The text of such a file. */
  credentialsText?: string | undefined;
}

const longestWait = 5000;

/**
 * Connection options from an address; the environment's NATS_CREDS, NATS_USER with NATS_PASSWORD, NATS_TOKEN, NATS_NKEY,
 * and for TLS NATS_CA, NATS_CERT, NATS_KEY (files) fill what the URL does not say.
 * @throws BadSpec for a URL or a credentials file that cannot be used; the message quotes neither
 */
export function connectionOptions({
  url,
  credentials,
  credentialsText,
  environment = process.env,
}: NatsAddress): ConnectionOptions {
  const urls = url.split(',').map((part) => parseUrl(part.trim()));
  const text = textOf({ credentials, credentialsText, environment });
  const inboxPrefix = text === undefined ? undefined : inboxIn(text);
  const authenticator = inUrl(urls[0]!) ?? elsewhere(text, environment);
  const { NATS_CA: caFile, NATS_CERT: certFile, NATS_KEY: keyFile } = environment;
  const isTls = urls.map(({ protocol }) => protocol === 'tls:');
  const secure = caFile !== undefined || certFile !== undefined || isTls.every(Boolean);
  // The client has one setting for all servers: credentials would go to some in the clear.
  if (!secure && isTls.some(Boolean))
    throw badSpec(
      'the NATS URLs must all be tls://, or none of them: some are nats://, which asks for no TLS',
    );
  return {
    servers: urls.map(({ host }) => host),
    name: 'offsite',
    timeout: 5000,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    reconnectJitter: 500,
    // A secret may be put right while we run.
    ignoreAuthErrorAbort: true,
    ...(authenticator && { authenticator }),
    ...(inboxPrefix !== undefined && { inboxPrefix }),
    ...(secure && {
      tls: { ...(caFile && { caFile }), ...(certFile && { certFile }), ...(keyFile && { keyFile }) },
    }),
  };
}

function parseUrl(url: string): URL {
  const parsed = URL.parse(url.includes('://') ? url : `nats://${url}`);
  if (parsed === null || parsed.hostname === '' || !['nats:', 'tls:'].includes(parsed.protocol))
    throw badSpec('the NATS URL must be nats://host:port or tls://host:port');
  return parsed;
}

function inUrl({ username, password }: URL): Authenticator | undefined {
  if (username === '') return undefined;
  const user = decoded(username);
  return password === '' ? tokenAuthenticator(user) : usernamePasswordAuthenticator(user, decoded(password));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badSpec('the NATS URL has a user or password with a "%" that begins no escape: write it as %25');
  }
}

function elsewhere(
  credentials: string | undefined,
  environment: NodeJS.ProcessEnv,
): Authenticator | undefined {
  const { NATS_USER: user, NATS_PASSWORD: password, NATS_TOKEN: token, NATS_NKEY: seed } = environment;
  if (credentials !== undefined) return credsAuthenticator(new TextEncoder().encode(credentials));
  if (user !== undefined) return usernamePasswordAuthenticator(user, password);
  if (token !== undefined) return tokenAuthenticator(token);
  return seed === undefined ? undefined : nkeyAuthenticator(new TextEncoder().encode(seed));
}

/** @throws BadSpec for a credentials file that cannot be read */
function textOf({
  credentials,
  credentialsText,
  environment = process.env,
}: Omit<NatsAddress, 'url'>): string | undefined {
  const file = credentials ?? environment['NATS_CREDS'];
  return credentialsText ?? (file === undefined ? undefined : readCredentials(file));
}

/** Whether the credentials name this subject as one that their user may publish. @throws BadSpec for a file that cannot be read */
export function isGranted(address: Omit<NatsAddress, 'url'>, subject: string): boolean {
  const text = textOf(address);
  return text !== undefined && (claimsIn(text)?.pub?.allow ?? []).includes(subject);
}

function readCredentials(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw badSpec(`the NATS credentials file ${file} cannot be read`, { cause });
  }
}

/** Where the user of a .creds file may hear answers, if that is one place only: others' answers are then not for it. */
function inboxIn(credentials: string): string | undefined {
  const heard = claimsIn(credentials)?.sub?.allow ?? [];
  return heard.find((subject) => /^_INBOX[^*>]+\.>$/.test(subject))?.slice(0, -'.>'.length);
}

/** What the user of a .creds file may do; undefined where that cannot be read. */
function claimsIn(credentials: string): z.output<typeof userClaims>['nats'] | undefined {
  const payload = /\.([\w-]+)\./.exec(credentials)?.[1] ?? '';
  try {
    return userClaims.parse(JSON.parse(Buffer.from(payload, 'base64url').toString())).nats;
  } catch {
    return undefined;
  }
}

const subjects = z.object({ allow: z.array(z.string()).optional() }).optional();
const userClaims = z.object({ nats: z.object({ pub: subjects, sub: subjects }) });

/**
 * Connects, trying for as long as it takes; the client itself then reconnects for ever.
 * @param failed told of each failed try, with a code and no credentials
 * @returns undefined once `signal` is aborted
 */
export async function connectForEver(
  options: ConnectionOptions,
  signal: AbortSignal,
  failed: (code: string) => void,
): Promise<NatsConnection | undefined> {
  for (let wait = 250; !signal.aborted; wait = Math.min(longestWait, 2 * wait)) {
    try {
      const connection = await connect(options);
      if (!signal.aborted) return connection;
      await connection.close();
    } catch (error) {
      failed(codeOf(error));
      await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
  return undefined;
}

/**
 * Whether somebody answers there and lets us in, within a few seconds.
 * @returns undefined if so, else a code that says why not
 * @throws BadSpec for an unusable URL or credentials file
 */
export async function whyUnreachable(address: NatsAddress): Promise<string | undefined> {
  try {
    const connection = await connect({ ...connectionOptions(address), timeout: 3000, reconnect: false });
    await connection.close();
    return undefined;
  } catch (error) {
    if (error instanceof OffsiteError) throw error;
    return codeOf(error);
  }
}

/** An error's code: safe to show, unlike its message. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && code !== '' ? code : 'UNKNOWN';
}

/** Resolves after `milliseconds`, or as soon as `signal` is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
}
