// Credentials of stores: which Secret, or else the environment, they are read from.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { sha256 } from '../manifest/digest.ts';

/** What opens a store: names and values as a Secret, or the environment, holds them. Never shown. */
export interface StoreCredentials {
  values: Readonly<Record<string, string | undefined>>;
  /** Where they come from, for messages: `Secret models` or `the environment`. */
  source: string;
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
  if (!existsSync(mounted)) throw badSpec(`Secret ${secret} is not mounted: does it exist in the namespace?`);
  const again = () => {
    const values = filesIn(mounted);
    return { ...values, ...placesIn(environment, values) };
  };
  return { values: again(), source: `Secret ${secret}`, again };
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

/** The server that is S3 for these; undefined where that is AWS. */
export const s3EndpointIn = (values: StoreCredentials['values']): string | undefined =>
  values['AWS_ENDPOINT_URL_S3'] ?? values['AWS_ENDPOINT_URL'];

/** A name of that server, a plain one of a path: the same for all credentials that name it by the same address. */
export function s3ServerOf({ values }: StoreCredentials): string {
  const endpoint = s3EndpointIn(values);
  if (endpoint === undefined) return 'aws';
  return sha256(URL.canParse(endpoint) ? new URL(endpoint).origin : endpoint);
}
