import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../../../../operator/jobs/spec/check.ts';
import { withoutHugeTemplate } from '../../../../../operator/jobs/spec/template-form.ts';
import { leftOut, levels, parseWithoutHugeParts } from '../../../../../operator/runtime/api/huge-parts.ts';
import type { KubeObject } from '../../../../../operator/runtime/index.ts';
import { resource } from '../../../../support/unit/operator/fixtures.ts';

/** A megabyte and a half of the smallest values. */
const small = Array(480_000).fill({}) as object[];
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, '']));
const withTemplate = (template: unknown) => resource('EmulatorBuild', { spec: { template } });
const objectLevel = levels.object;

describe('parts of an object with values without end', () => {
  it.each<[string, number, (object: KubeObject) => unknown, (value: unknown) => unknown]>([
    ['an answer', levels.object, (object) => object, (value) => value],
    [
      'an event',
      levels.inEvent,
      (object) => ({ type: 'ADDED', object }),
      (value) => (value as { object: unknown }).object,
    ],
    [
      'a list',
      levels.inList,
      (object) => ({ metadata: { continue: 'a' }, items: [withTemplate({ spec: {} }), object] }),
      (value) => (value as { items: unknown[] }).items[1],
    ],
  ])(
    'are left out of %s before it is parsed, and the template is refused',
    (_, level, wrapped, unwrapped) => {
      const whole = withTemplate({ spec: { x: small, y: '{"[,\\' } });
      const { labels: __, ...metadata } = whole.metadata;
      const hostile = {
        ...whole,
        metadata: { ...metadata, labels: many(30_000), managedFields: [many(30_000)] },
      };
      const object = unwrapped(parseWithoutHugeParts(JSON.stringify(wrapped(hostile)), level)) as KubeObject;
      expect(object).toEqual({
        ...whole,
        metadata,
        spec: { ...(whole['spec'] as object), template: leftOut },
      });
      const checked = checkSpec(withoutHugeTemplate(object));
      expect('problems' in checked && checked.problems).toEqual([
        {
          field: 'spec.template',
          reason: 'is larger than 10000 values or 262144 characters: put what is long into a ConfigMap',
        },
      ]);
    },
  );

  it('of a page of ten cost the memory of their text, not of their values', () => {
    const page = JSON.stringify({
      metadata: {},
      items: Array(10).fill(withTemplate({ spec: { x: small } })),
    });
    const before = process.memoryUsage().heapUsed;
    const parsed = parseWithoutHugeParts(page, levels.inList);
    // 290 MB where all of it is parsed; nothing is collected meanwhile, or more of it is.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 << 20);
    expect(JSON.stringify(parsed).length).toBeLessThan(20_000);
  });

  it('end at 20,000 values: up to there, and in texts, everything stays', () => {
    const most = { ...withTemplate({ x: Array(19_999).fill('y') }), other: ['a', { b: 'c' }] };
    expect(parseWithoutHugeParts(JSON.stringify(most), objectLevel)).toEqual(most);
    const texts = withTemplate({ x: ',{['.repeat(100_000), y: '\\"{,'.repeat(10_000), z: ['\\\\', '\\'] });
    expect(parseWithoutHugeParts(JSON.stringify(texts, undefined, 1), objectLevel)).toEqual(texts);
    const more = withTemplate({ x: Array(20_002).fill('y') });
    expect(parseWithoutHugeParts(JSON.stringify(more), objectLevel)).toMatchObject({
      spec: { template: leftOut },
    });
  });

  it('end at 60,000 values of an object in all, and each object of a list has as many', () => {
    const field = Array(19_999).fill('y') as string[];
    const object = { metadata: {}, spec: { a: field, b: field, c: field, d: field, e: ['z'] } };
    const page = JSON.stringify({ items: [object, object] });
    const kept = { ...object, spec: { ...object.spec, d: leftOut } };
    expect(parseWithoutHugeParts(page, levels.inList)).toEqual({ items: [kept, kept] });
  });

  it.each(['', '{', '"', '"\\', '{"a":"', `{"a":[${'{},'.repeat(100_000)}`, `${'[{},'.repeat(90_000)}`])(
    'are no excuse for what is no JSON (%#)',
    (text) => {
      expect(() => parseWithoutHugeParts(text, objectLevel)).toThrow(SyntaxError);
    },
  );
});
