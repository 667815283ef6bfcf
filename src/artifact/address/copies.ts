import { join, relative, sep } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { problemOfPath } from '../inner-path.ts';

/** The stores that there are, by the schemes of their URIs. */
export const storeSchemes = ['s3', 'https', 'hf'] as const;
export type StoreScheme = (typeof storeSchemes)[number];

/** A place in a store: `bucket/key` for s3, `host/path` for https, `owner/name@revision/path` for hf. */
export interface StorePlace {
  scheme: StoreScheme;
  place: string;
}

/** Where a store's copy lies below the scratch directory, and with which Secret its store is opened. */
export interface Copy extends StorePlace {
  secret: string | undefined;
}

// No Secret can have this name.
const noSecret = '_';

const forms = {
  s3: 's3://BUCKET/PATH',
  https: 'https://HOST/PATH',
  hf: 'hf://OWNER/NAME[@REVISION][/PATH] or hf://datasets/OWNER/NAME[@REVISION]/PATH',
} as const;

/** @throws OffsiteError BadSpec naming the field: an unknown scheme, or a path that is no plain one */
export function parseStoreUri(uri: string, field: string): StorePlace {
  const [, scheme = '', rest = ''] = /^([a-z0-9]+):\/\/(.*)$/.exec(uri) ?? [];
  const known = storeSchemes.find((name) => name === scheme);
  if (known === undefined)
    throw badSpec(
      `${field}: ${scheme}:// is not supported yet; file:, pvc:// and ${storeSchemes.map((name) => `${name}://`).join(', ')} are`,
    );
  const place = rest.replace(/\/$/, '');
  const problem = place.includes('/') ? problemOfPath(place) : 'has no "/"';
  if (problem !== undefined)
    throw badSpec(
      `${field}: must be ${forms[known]}, without empty, "." and ".." parts; what stands there ${problem}`,
    );
  if (known === 'https' && /[?#]|^[^/]*@/.test(rest))
    throw badSpec(`${field}: must be without user, "?" and "#": a token belongs into secretRef`);
  if (!isNamed[known](place.split('/')))
    throw badSpec(`${field}: must be ${forms[known]}; what stands there names no ${known} place`);
  return { scheme: known, place };
}

/** Whether what stands before the path can be what it is to be: it becomes part of an address. */
const isNamed: Readonly<Record<StoreScheme, (parts: readonly string[]) => boolean>> = {
  s3: () => true,
  https: ([host = '']) => !host.includes('%') && URL.canParse(`https://${host}/`),
  hf(parts) {
    const [owner = '', name = ''] = parts[0] === 'datasets' ? parts.slice(1) : parts;
    return /^[\w.-]+$/.test(owner) && /^[\w.-]+(@.+)?$/.test(name);
  },
};

/** `<scratch>/<scheme>/<secret>/<place>`: each place has one copy, its neighbours lie beside it as in the store. */
export function pathOfCopy(scratch: string, { scheme, place }: StorePlace, secret?: string): string {
  return join(scratch, scheme, secret ?? noSecret, place);
}

/** What a path below the scratch directory is the copy of; undefined for any other path. */
export function copyAt(scratch: string | undefined, path: string): Copy | undefined {
  if (scratch === undefined) return undefined;
  const [scheme, secret, ...place] = relative(scratch, path).split(sep);
  const known = storeSchemes.find((name) => name === scheme);
  if (known === undefined || secret === undefined || place.length < 2) return undefined;
  return { scheme: known, secret: secret === noSecret ? undefined : secret, place: place.join('/') };
}

/** Text with the paths of copies written as the URIs that users know. */
export function withStoreUris(text: string, scratch: string | undefined): string {
  if (scratch === undefined) return text;
  const quoted = `${scratch}${sep}`.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return text.replaceAll(
    new RegExp(`${quoted}(${storeSchemes.join('|')})[/\\\\][^/\\\\]+[/\\\\]`, 'g'),
    '$1://',
  );
}
