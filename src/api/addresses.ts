// How addresses of places compare: one spelling for each place, and whether one lies inside another.
import { posix } from 'node:path';

/** One spelling for all that lead to one place; whichever Secret opens it. */
export function addressOf(uri: string): string {
  const [, scheme = '', authority = '', path = ''] = /^([^:]*):\/\/([^/]*)(.*)$/.exec(uri) ?? [];
  if (scheme === '') return uri;
  const place = posix.normalize(`/${path}`).replace(/\/$/, '');
  return `${scheme.toLowerCase()}://${authority.toLowerCase()}${place}`;
}

/** The directory in which work lies where no place is named for it. */
export const hiddenWork = '.offsite-work';

/** The one of an output's claim; undefined where the output lies on none. */
export function hiddenWorkOf(output: string): string | undefined {
  const claim = /^pvc:\/\/[^/]+\//.exec(output)?.[0];
  return claim && `${claim}${hiddenWork}`;
}

/** The addresses of all places that one lies inside, from the nearest to its claim, bucket or host. */
export function addressesAround(address: string): string[] {
  const root = address.indexOf('/', address.indexOf('://') + '://'.length);
  const around: string[] = [];
  for (let end = address.lastIndexOf('/'); root >= 0 && end >= root; end = address.lastIndexOf('/', end - 1))
    around.push(address.slice(0, end));
  return around;
}

/** Whether two places, in one spelling, are one, or one lies inside the other: an artifact there would spoil the other. */
export const isShared = (place: string, other: string): boolean =>
  place === other || place.startsWith(`${other}/`) || other.startsWith(`${place}/`);
