import { describe, expect, test } from 'vitest';
import { configBounds, readJsonFile } from '../../../src/checkpoint/index.ts';
import { badModelOf, file } from '../../support/unit/checkpoint/files.ts';

const read = (text: string | Uint8Array) => readJsonFile(file('config.json', text));
const problem = (text: string | Uint8Array) => badModelOf(() => read(text)).replace(/^.*config\.json: /, '');

describe('a JSON file of a model', () => {
  test.each<[string, string, unknown]>([
    ['a byte order mark', '\ufeff{"a": 1}', { a: 1 }],
    [
      "Python's infinity",
      '{"a": [Infinity, -Infinity], "b": "Infinity, NaN"}',
      { a: [Infinity, -Infinity], b: 'Infinity, NaN' },
    ],
    ["Python's NaN, which is no number", '{"a": NaN}', { a: 'NaN' }],
    [
      'quotes and backslashes before a word',
      '{"\\\\\\"": "\\\\", "b": Infinity}',
      { '\\"': '\\', b: Infinity },
    ],
    [
      'as deep as may be',
      `${'['.repeat(64)}${']'.repeat(64)}`,
      JSON.parse(`${'['.repeat(64)}${']'.repeat(64)}`),
    ],
    ['negative numbers', '{"a": -1, "b": [-2.5e-3]}', { a: -1, b: [-0.0025] }],
  ])('with %s is read', (_, text, expected) => {
    expect(read(text).value).toEqual(expected);
  });

  test('has its text without the mark', () => {
    expect(read('\ufeff{"a": 30.0}').text).toBe('{"a": 30.0}');
  });

  test.each<[string, string | Uint8Array, string]>([
    [
      'of more bytes than any has',
      ' '.repeat(configBounds.bytes + 1),
      `has ${configBounds.bytes + 1} bytes; at most`,
    ],
    ['that nests without end', '['.repeat(1_000_000), 'nests more than 64 deep'],
    ['with values without end', `[${'0,'.repeat(500_000)}0]`, 'holds more than 262144 values'],
    ['with a name without end', `{"${'n'.repeat(3_000_000)}": 1}`, 'has a name of 3000000 bytes'],
    ['with words without end', `[${'NaN'.repeat(500_000)}]`, 'holds more than 262144 values'],
    ['of minus signs alone', '-'.repeat(configBounds.bytes), 'is not JSON'],
    ['of words that are cut off', '-Infinit'.repeat(configBounds.bytes / 8), 'is not JSON'],
    ['that is a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\n', 'is a Git LFS pointer'],
    ['in UTF-16', Buffer.from('\ufeff{"a": 1}', 'utf16le'), 'is UTF-16 text; save it as UTF-8'],
    ['in Latin-1', Buffer.from('{"a": "\xfc"}', 'latin1'), 'is not UTF-8'],
    ['that is empty', '', 'is not JSON'],
    ['that ends in a text', '{"a', 'is not JSON'],
    ['with a word that is none', '{"a": Infinit}', 'is not JSON'],
  ])('%s is refused', (_, text, expected) => {
    expect(problem(text)).toContain(expected);
  });
});
