import { expect, test } from 'vitest';
import { copyAt, pathOfCopy, withStoreUris } from '../../../../src/artifact/address/copies.ts';

const places = [
  ['s3', 'bucket/a', '/scratch/s3/_/bucket/a'],
  ['s3', 'bucket/a/b', '/scratch/s3/_/bucket/a/b'],
  ['hf', 'owner/model@v1', '/scratch/hf/_/2/owner/model@v1'],
  ['hf', 'owner/model@v1/rows/probe.jsonl', '/scratch/hf/_/4/owner/model@v1/rows/probe.jsonl'],
  ['https', 'host:8080/a', '/scratch/https/_/2/host:8080/a'],
] as const;

test.each(places)(
  '%s://%s has a copy of its own where places in it may not be its files',
  (scheme, place, path) => {
    expect(pathOfCopy('/scratch', { scheme, place })).toBe(path);
    expect(copyAt('/scratch', path)).toMatchObject({ scheme, place, secret: undefined });
    const secret = 'keys';
    const opened = pathOfCopy('/scratch', { scheme, place }, secret);
    expect(copyAt('/scratch', opened)).toMatchObject({ scheme, place, secret });
    expect(withStoreUris(`${opened}/x: no, ${path}: no`, '/scratch')).toBe(
      `${scheme}://${place}/x: no, ${scheme}://${place}: no`,
    );
  },
);

test('what lies in a place is in its copy', () => {
  const model = pathOfCopy('/scratch', { scheme: 'hf', place: 'owner/model' });
  const found = copyAt('/scratch', `${model}/config.json`)!;
  expect(found).toMatchObject({ scheme: 'hf', place: 'owner/model/config.json' });
  expect(pathOfCopy('/scratch', found)).toBe(`${model}/config.json`);
});
