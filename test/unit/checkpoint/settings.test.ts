import { describe, expect, test } from 'vitest';
import { readSettings } from '../../../src/checkpoint/index.ts';
import { file } from '../../support/unit/checkpoint/files.ts';

const read = (text: string) => readSettings(file('config.json', text));

describe('settings that name code to run', () => {
  const map = '{"AutoConfig": "someone/code--config.Config", "AutoTokenizer": [null, "a.B"]}';
  test.each<[what: string, text: string, kept: string, leftOut: string[]]>([
    ['first', `{"auto_map": ${map}, "a": 1.0}`, '{ "a": 1.0}', ['auto_map']],
    ['last', `{\n  "a": 1e-05,\n  "auto_map": ${map}\n}\n`, '{\n  "a": 1e-05\n}\n', ['auto_map']],
    ['between', `{"a": 30.0, "auto_map": ${map}, "b": "}, {"}`, '{"a": 30.0, "b": "}, {"}', ['auto_map']],
    ['alone', `{ "auto_map": ${map} }`, '{}', ['auto_map']],
    ['twice', '{"auto_map": 1, "auto_map": {}, "a": 0, "auto_map": 2}', '{ "a": 0}', ['auto_map']],
    ['twice at the end', '{"a": 0, "auto_map": 1, "auto_map": {}}', '{"a": 0}', ['auto_map']],
    ['by another spelling', '{"a": 0, "\\u0061uto\\u005Fmap": {}}', '{"a": 0}', ['auto_map']],
    [
      'in other settings and in lists of them',
      '{"text_config": {"auto_map": {}, "b": -0.0}, "parts": [{"auto_map": 1}, "auto_map", [{"auto_map": [2]}, 3]]}',
      '{"text_config": { "b": -0.0}, "parts": [{}, "auto_map", [{}, 3]]}',
      ['auto_map'],
    ],
    [
      'in each other',
      '{"a": 0, "auto_map": {"b": {"custom_generate": 1}, "c": [{"auto_map": 2}]}, "d": 3}',
      '{"a": 0, "d": 3}',
      ['custom_generate', 'auto_map'],
    ],
    ["beside Python's infinity", '{"a": Infinity, "auto_map": NaN}', '{"a": Infinity}', ['auto_map']],
    [
      'by any of the fields',
      '{"custom_pipelines": {"t": {"impl": "p.P"}}, "custom_generate": "someone/x", "trust_remote_code": true, "_auto_class": "AutoModel", "a": 2}',
      '{ "a": 2}',
      ['custom_pipelines', 'custom_generate', 'trust_remote_code', '_auto_class'],
    ],
    [
      'as kernels of a repository',
      '{"attn_implementation": "someone\\u002fattention", "b": {"_attn_implementation": {"": "paged|some/one@main:k"}}}',
      '{ "b": {}}',
      ['attn_implementation', '_attn_implementation'],
    ],
  ])('%s are read as without', (_, text, kept, leftOut) => {
    const settings = read(text);
    expect(settings.text).toBe(kept);
    expect(settings.leftOut).toEqual(leftOut);
    expect(settings.value).toEqual(read(kept).value);
  });

  test.each([
    '{"a": "auto_map", "b": ["trust_remote_code", {"auto_maps": 1}], "c": {}, "d": [], "e": 1.50}',
    '{"_attn_implementation": "flash_attention_2", "attn_implementation": null, "_attn_implementation_autoset": true}',
    '["auto_map"]',
    ' "auto_map"',
  ])('are no others: %s', (text) => {
    const value: unknown = JSON.parse(text);
    expect(read(text)).toEqual({ value, whole: value, text, leftOut: [] });
  });

  test('are found in megabytes of escapes', () => {
    const long = '\\n\\"'.repeat(1 << 19);
    expect(read(`{"a": "${long}", "auto_map": 1}`).text).toBe(`{"a": "${long}"}`);
  });
});
