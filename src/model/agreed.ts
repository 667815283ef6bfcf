// A setting of config.json that may stand in several places.
import { isDeepStrictEqual } from 'node:util';
import { badModel } from '../api/index.ts';

/**
 * The value of a setting that stands in several places, with the name of each; undefined where it is in none.
 * @throws OffsiteError BadModel naming two places that differ
 */
export function agreed<Value>(
  ...places: readonly (readonly [name: string, value: Value | undefined])[]
): Value | undefined {
  const [first, ...others] = places.filter(([, value]) => value !== undefined);
  const other = others.find(([, value]) => !isDeepStrictEqual(value, first?.[1]));
  if (first && other)
    throw badModel(`config.json: ${first[0]} and ${other[0]} are one setting, and differ: leave one out`);
  return first?.[1];
}
