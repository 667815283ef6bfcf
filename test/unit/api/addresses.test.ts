import { expect, test } from 'vitest';
import { addressesAround, addressOf, isShared } from '../../../src/api/index.ts';

test.each([
  ['pvc://A/b/', 'pvc://a/b'],
  ['s3://Bucket//x/./y', 's3://bucket/x/y'],
  ['oci://Host.example/a:1', 'oci://host.example/a:1'],
  ['pvc://a/b/../../../c', 'pvc://a/c'],
  ['file:x', 'file:x'],
  ['', ''],
])('%s is the place %s', (uri, address) => {
  expect(addressOf(uri)).toBe(address);
});

test.each([
  ['pvc://a/b/c', ['pvc://a/b', 'pvc://a']],
  ['pvc://a', []],
  ['s3://bucket/x', ['s3://bucket']],
  ['', []],
])('%s lies inside %j', (address, around) => {
  expect(addressesAround(address)).toEqual(around);
  for (const other of around)
    expect([isShared(address, other), isShared(other, address)]).toEqual([true, true]);
});

test('what only begins alike shares nothing', () => {
  expect(isShared('pvc://a/b', 'pvc://a/bc')).toBe(false);
  expect(isShared('pvc://a/b', 'pvc://a/c')).toBe(false);
  expect(isShared('pvc://a/b', 'pvc://a/b')).toBe(true);
});
