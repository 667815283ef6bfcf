// config.json as a bundle has it, for transformers that tells 30.0 from 30 (test/reference/config_defaults.py).
import { describe, expect, it, test } from 'vitest';
import { canonicalJson } from '../../../src/artifact/index.ts';
import { canonicalConfig, readableConfig, rewritten } from '../../../src/model/config-text.ts';
import { families } from '../../../src/model/families/index.ts';
import { fixtureOf } from '../../support/golden/families/fixture.ts';

const floatsOf = (name: string) => families.find((family) => family.name === name)!.floats;

/** What Python's json has for an int. */
const wholes = (text: string, floats: readonly string[]) =>
  floats.filter((field) => new RegExp(`"${field}": ?-?\\d+[,}\\s]`).test(text));

describe.each(families.map(({ name, floats }) => [name, floats] as const))('%s', (name, floats) => {
  const { config } = fixtureOf(name);
  const whole = { ...config, ...Object.fromEntries(floats.map((field) => [field, 1])) };

  it.each([
    ['a bundle', canonicalConfig, canonicalJson],
    ['GGUF', readableConfig, (value: unknown) => `${JSON.stringify(value, null, 2)}\n`],
  ])('has its whole numbers with a point where its class asks for one: %s', (_, written, plain) => {
    expect(wholes(plain(whole), floats)).toEqual(floats);
    const text = written(whole, floats);
    expect(wholes(text, floats)).toEqual([]);
    expect(JSON.parse(text)).toEqual(whole);
    expect(text.replace(/\b1\.0\b/g, '1')).toBe(plain(whole));
  });

  it('is as it was in every byte where no such number is whole', () => {
    const fraction = { ...config, ...Object.fromEntries(floats.map((field) => [field, 0.5])) };
    expect(canonicalConfig(fraction, floats)).toBe(canonicalJson(fraction));
  });
});

test("Gemma 2's caps have a point, and its other numbers, of which some are written with one, have none", () => {
  const config = {
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
    query_pre_attn_scalar: 256,
    attention_dropout: 0,
    rope_theta: 10_000,
    head_dim: 256,
    rms_norm_eps: 1e-6,
    initializer_range: 0.02,
    ids: [30, 50],
  };
  expect(canonicalConfig(config, floatsOf('gemma2'))).toBe(
    '{"attention_dropout":0,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,"head_dim":256,"ids":[30,50],' +
      '"initializer_range":0.02,"query_pre_attn_scalar":256,"rms_norm_eps":0.000001,"rope_theta":10000}',
  );
  expect(readableConfig({ final_logit_softcapping: 30, head_dim: 256 }, floatsOf('gemma2'))).toBe(
    '{\n  "final_logit_softcapping": 30.0,\n  "head_dim": 256\n}\n',
  );
});

test.each([
  [null, 'null'],
  [Number.POSITIVE_INFINITY, 'null'],
  [0, '0.0'],
  [-2, '-2.0'],
  [1e20, '100000000000000000000.0'],
  [1e21, '1e+21'],
  [1e-7, '1e-7'],
  ['30', '"30"'],
  [{ cap: 30 }, '{"cap":30}'],
  [[30], '[30]'],
])('a cap of %j is written as %s', (cap, written) => {
  expect(canonicalConfig({ cap, rank: 2 }, ['cap'])).toBe(`{"cap":${written},"rank":2}`);
});

test('what stands within another setting or in a text is not rewritten', () => {
  const config = { a: { cap: 30 }, b: [{ cap: 30 }], c: 'cap', d: '"cap":30,', 'd"cap': 30, cap: 30 };
  expect(
    rewritten(canonicalJson(config), (name, written) => (name === 'cap' ? `${written}.0` : written)),
  ).toBe('{"a":{"cap":30},"b":[{"cap":30}],"c":"cap","cap":30.0,"d":"\\"cap\\":30,","d\\"cap":30}');
});
