// Addresses in stores, and the paths of their copies below the scratch directory: from one to the other and back.
import { join, relative, sep } from 'node:path';
import { badSpec, type StoreScheme, storeSchemes, stores } from '../../api/index.ts';
import { problemOfPath } from '../inner-path.ts';

/** A place in a store: `bucket/key` for s3, `host/path` for https, `owner/name@revision/path` for hf. */
export interface StorePlace {
  scheme: StoreScheme;
  place: string;
}

/** Where a store's copy lies below the scratch directory, and with which Secret its store is opened. */
export interface Copy extends StorePlace {
  secret: string | undefined;
  /** Of a store that is only read: how many parts the place has that was asked for, which this is or which it lies in. */
  parts?: number | undefined;
}

// No Secret can have this name.
const noSecret = '_';

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
      `${field}: must be ${stores[known].form}, without empty, "." and ".." parts; what stands there ${problem}`,
    );
  if (known === 'https' && /[?#]|^[^/]*@/.test(rest))
    throw badSpec(`${field}: must be without user, "?" and "#": a token belongs into secretRef`);
  if (!stores[known].isNamed(place.split('/')))
    throw badSpec(`${field}: must be ${stores[known].form}; what stands there names no ${known} place`);
  return { scheme: known, place };
}

/** `<scratch>/<scheme>/<secret>/<place>`: each place has one copy, its neighbours lie beside it as in the store. */
export const pathOfCopy = (scratch: string, copy: Omit<Copy, 'secret'>, secret?: string): string =>
  join(rootOfCopies(scratch, copy, secret), copy.place);

/**
 * What copies of a store's places lie below. A store that is only read lists fewer files for a place than lie below it, so that
 * rows within a model are none of its files: it has one root for each number of parts that places have, and the copies of two
 * places of which one lies in the other are apart.
 */
export function rootOfCopies(
  scratch: string,
  { scheme, place, parts = place.split('/').length }: Omit<Copy, 'secret'>,
  secret = noSecret,
): string {
  return join(scratch, scheme, secret, stores[scheme].writable ? '' : `${parts}`);
}

/** What a path below the scratch directory is the copy of; undefined for any other path. */
export function copyAt(scratch: string | undefined, path: string): Copy | undefined {
  if (scratch === undefined) return undefined;
  const [scheme, secret, ...rest] = relative(scratch, path).split(sep);
  const known = storeSchemes.find((name) => name === scheme);
  if (known === undefined || secret === undefined) return undefined;
  const [parts, place] = stores[known].writable ? [undefined, rest] : [Number(rest[0]), rest.slice(1)];
  if (place.length < 2) return undefined;
  return { scheme: known, secret: secret === noSecret ? undefined : secret, place: place.join('/'), parts };
}

/** Text with the paths of copies written as the URIs that users know. */
export function withStoreUris(text: string, scratch: string | undefined): string {
  if (scratch === undefined) return text;
  const quoted = `${scratch}${sep}`.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const before = storeSchemes.map((scheme) => `${scheme}/[^/]+/${stores[scheme].writable ? '' : '\\d+/'}`);
  return text.replaceAll(new RegExp(`${quoted}(?:${before.join('|')})`, 'g'), (copy) => {
    const [scheme] = relative(scratch, copy).split(sep);
    return `${scheme}://`;
  });
}
