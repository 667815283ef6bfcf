// Credentials of stores: which Secret, or else the environment, they are read from.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { sha256 } from '../manifest/digest.ts';
import { isThere } from '../unanswered.ts';

/** What opens a store: names and values as a Secret, or the environment, holds them. Never shown. */
export interface StoreCredentials {
  values: Readonly<Record<string, string | undefined>>;
  /** Where they come from, for messages: `Secret models` or `the environment`. */
  source: string;
  /** Names of values that are the environment's, since the source has none. */
  borrowed?: readonly string[];
  /** Looks again, where they may become others while a pod runs: a Secret's files do. */
  again?: () => Readonly<Record<string, string | undefined>>;
}

export const environmentSource = 'the environment';

/**
 * Where stores are, which an administrator may say for all pods (a mirror in a network without the internet): these are the
 * environment's, where the Secret has none of the group.
 */
const places = [
  ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  ['HF_ENDPOINT'],
];

/**
 * The credentials of a source: the mounted files of its Secret (`<directory>/<secret>/<key>`), or the environment where the
 * source names none. A Secret that does not say where the store is leaves that to the environment.
 * @param directory where Secrets are mounted; undefined outside a cluster, where the environment serves all
 * @throws OffsiteError BadSpec when the Secret is not there
 */
export function readCredentials(
  secret: string | undefined,
  directory: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): StoreCredentials {
  if (secret === undefined || directory === undefined)
    return { values: environment, source: environmentSource };
  const mounted = join(directory, secret);
  if (!isThere(mounted)) throw badSpec(`Secret ${secret} is not mounted: does it exist in the namespace?`);
  const again = () => {
    const values = filesIn(mounted);
    return { ...values, ...placesIn(environment, values) };
  };
  const borrowed = Object.keys(placesIn(environment, filesIn(mounted)));
  return { values: again(), source: `Secret ${secret}`, borrowed, again };
}

function filesIn(mounted: string): Record<string, string> {
  // Kubernetes keeps its own ..data links there.
  const keys = readdirSync(mounted).filter((name) => !name.startsWith('..'));
  return Object.fromEntries(keys.map((key) => [key, readFileSync(join(mounted, key), 'utf8').trim()]));
}

function placesIn(
  environment: NodeJS.ProcessEnv,
  values: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const left = places.filter((group) => !group.some((name) => values[name]));
  return Object.fromEntries(left.flat().map((name) => [name, environment[name] || undefined]));
}

/** Names of the variables, or keys of a Secret, that say where S3 is: the first that is there counts. */
const s3Endpoints = ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'];
const s3Regions = ['AWS_REGION', 'AWS_DEFAULT_REGION'];

/** The server that is S3 for these; undefined where that is AWS. @throws OffsiteError BadSpec where it is no URL */
export const s3EndpointOf = (credentials: StoreCredentials): string | undefined =>
  placeOf(credentials, s3Endpoints, isServer, "a server's URL, such as https://s3.example.com");

/** The region that requests to S3 are signed for. @throws OffsiteError BadSpec where it cannot be one */
export const s3RegionOf = (credentials: StoreCredentials): string =>
  placeOf(credentials, s3Regions, isLabel, 'the name of a region, such as us-east-1') ?? 'us-east-1';

/** The server that is the hub. @throws OffsiteError BadSpec where it is no URL that a token goes to */
export const hubEndpointOf = (credentials: StoreCredentials): string =>
  placeOf(
    credentials,
    ['HF_ENDPOINT'],
    (value) => isServer(value) && new URL(value).username === '' && new URL(value).password === '',
    "a server's URL without user and password, such as https://hub.example.com",
  ) ?? 'https://huggingface.co';

/** What stands there is not told: an address may hold a password. */
function placeOf(
  { values, source, borrowed = [] }: StoreCredentials,
  names: readonly string[],
  isRight: (value: string) => boolean,
  right: string,
): string | undefined {
  const name = names.find((one) => values[one]);
  const value = name && values[name];
  if (name === undefined || value === undefined || isRight(value)) return value;
  throw badSpec(`${name} of ${borrowed.includes(name) ? environmentSource : source}: must be ${right}`);
}

function isServer(value: string): boolean {
  const url = URL.parse(value);
  return url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '';
}

/** It becomes a part of a host's name. */
const isLabel = (value: string) => /^(?!-)[a-z0-9-]{1,63}(?<!-)$/i.test(value);

/** A name of that server, a plain one of a path: the same for all credentials that name it by the same address. */
export function s3ServerOf({ values }: StoreCredentials): string {
  const endpoint = s3Endpoints.map((name) => values[name]).find(Boolean);
  if (endpoint === undefined) return 'aws';
  return sha256(URL.canParse(endpoint) ? new URL(endpoint).origin : endpoint);
}
