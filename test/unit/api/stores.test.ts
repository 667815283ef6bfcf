import { expect, it } from 'vitest';
import { inputUri, outputUri } from '../../../src/api/fields.ts';
import { isInStore, storeSchemes, stores } from '../../../src/api/index.ts';

const place: Readonly<Record<(typeof storeSchemes)[number], string>> = {
  hf: 'hf://team/tiny@v1/model',
  s3: 's3://bucket/model',
  https: 'https://models.example.com/model',
};

it.each(storeSchemes)(
  '%s: a place of the form that is told is one, and read from; written to where that can be',
  (scheme) => {
    const uri = place[scheme];
    expect(stores[scheme].form).toMatch(new RegExp(`^${scheme}://`));
    expect(stores[scheme].isNamed(uri.slice(scheme.length + 3).split('/'))).toBe(true);
    expect(isInStore(uri)).toBe(true);
    expect(inputUri.safeParse(uri).success).toBe(true);
    expect(outputUri.safeParse(uri).success).toBe(stores[scheme].writable);
  },
);

it.each(['pvc://claim/s3://bucket/x', 'file:s3://bucket/x', 'oci://host/x', 's3', ''])(
  '%s lies in none',
  (uri) => expect(isInStore(uri)).toBe(false),
);

it('the rules of the CRDs are those of before stores were declared', () => {
  const words = (field: typeof inputUri) => {
    const result = field.safeParse('ftp://x');
    return result.error?.issues.map(({ message }) => message);
  };
  expect(words(inputUri)).toEqual([
    'must be pvc://CLAIM/PATH, hf://, s3://, https:// or, for `offsite run`, file:PATH (oci:// is not supported yet)',
  ]);
  expect(words(outputUri)).toEqual([
    'must be pvc://CLAIM/PATH, s3:// or, for `offsite run`, file:PATH (oci:// is not supported yet)',
  ]);
});
