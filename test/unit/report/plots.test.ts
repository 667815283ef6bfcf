import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { bytes, quality, ranges, signed, significant } from '../../../src/report/figures.ts';
import { escaped, html } from '../../../src/report/html.ts';
import { barsPlot } from '../../../src/report/plots/cells.ts';
import { draw } from '../../../src/report/plots/draw.ts';
import { linearWithin } from '../../../src/report/plots/layers.ts';
import { lossPoints } from '../../../src/report/plots/loss.ts';
import { palettePng } from '../../../src/report/plots/png.ts';
import { positionsOf, rolesOf } from '../../../src/report/roles.ts';
import { similarityOf } from '../../support/unit/report/records.ts';

test('a PNG holds its pixels and its palette', () => {
  const rows = [Uint8Array.of(0, 1, 2), Uint8Array.of(2, 1, 0)];
  const url = palettePng(rows, [
    [255, 0, 0],
    [0, 255, 0],
    [0, 0, 255],
  ]);
  const png = Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  expect([...(chunks.get('IHDR') as Buffer)]).toEqual([0, 0, 0, 3, 0, 0, 0, 2, 8, 3, 0, 0, 0]);
  expect([...(chunks.get('PLTE') as Buffer)]).toEqual([255, 0, 0, 0, 255, 0, 0, 0, 255]);
  expect([...inflateSync(chunks.get('IDAT') as Buffer)]).toEqual([0, 0, 1, 2, 0, 2, 1, 0]);
});

test('a name in a plot is printable, as everywhere on the page', async () => {
  const named = 'one\u202e\u001b[2J\u200btwo <b>';
  const svg = await draw(
    { width: 100, height: 20, marks: [{ type: 'text', encode: { enter: { text: { value: named } } } }] },
    { id: 'p', title: 'names', text: 'of parties' },
  );
  expect(svg.text).toContain('>one\\u{202e}\\u{1b}[2J\\u{200b}two &lt;b&gt;<');
});

test('losses beyond what a plot can show become means of equal runs', () => {
  expect(lossPoints([3, 2, 1])).toEqual({
    stepsAPoint: 1,
    points: [
      { step: 1, loss: 3 },
      { step: 2, loss: 2 },
      { step: 3, loss: 1 },
    ],
  });
  const { points, stepsAPoint } = lossPoints(Array.from({ length: 1001 }, (_, i) => i));
  expect(stepsAPoint).toBe(3);
  expect(points[0]).toEqual({ step: 3, loss: 1 });
  expect(points.at(-1)).toEqual({ step: 1001, loss: 999.5 });
});

test('changes of layers have a logarithmic axis only where one would hide the others', () => {
  const changes = (values: number[]) => values.map((change, layer) => ({ layer, change, transfer: false }));
  expect(linearWithin(changes([0.1, -0.2, 0.3, 2]))).toBeUndefined();
  expect(linearWithin(changes([0.02, -0.05, 0.03, 8]))).toBe(0.01);
  expect(linearWithin(changes([0, 0, 0, 8]))).toBeUndefined();
  expect(linearWithin([])).toBeUndefined();
});

test('an infinite bar takes the axis from no other', () => {
  const bar = (value: number) => ({
    ...{ label: `${value}`, text: '', colour: 'red', value, low: value - 1, high: value + 1 },
  });
  const domain = (values: number[]) =>
    JSON.stringify(barsPlot(values.map(bar), { title: '', width: 100 })).match(/"domain":(.*?\])/)![1];
  expect(domain([10, Number.POSITIVE_INFINITY, Number.NaN])).toBe(domain([10]));
  expect(domain([Number.POSITIVE_INFINITY])).toBe('[0,1]');
});

test('every position has the role that its layer has there', () => {
  const shared = similarityOf(12);
  for (const { position, source, role } of positionsOf(shared)) {
    if (source !== position) expect(role).toBe('shared');
    else expect(role).toBe(shared.transferLayers.includes(source) ? 'transfer' : 'kept');
  }
  expect(rolesOf(shared).filter((role) => role === 'removed')).toEqual([]);

  const shallow = similarityOf(12, 'none');
  expect(positionsOf(shallow).map(({ source }) => source)).toEqual(shallow.kept);
  expect(positionsOf(shallow).filter(({ role }) => role === 'transfer')).toHaveLength(4);
  expect(rolesOf(shallow).filter((role) => role === 'removed')).toHaveLength(6);
});

test('figures as people read them', () => {
  expect(quality('acc', '0.7860')).toBe('78.6%');
  expect(quality('perplexity', '6539.0')).toBe('6539');
  expect([quality('acc', 'NaN'), quality('perplexity', 'Infinity')]).toEqual(['–', '∞']);
  expect([signed('perplexity', '-Infinity'), signed('perplexity', 'NaN')]).toEqual(['−∞', '–']);
  expect([signed('acc', '-0.0320'), signed('acc', '0.14'), signed('acc', '-0.00001')]).toEqual([
    '−3.2',
    '+14.0',
    '0.0',
  ]);
  expect([significant(97.75), significant(0.01234), significant(12345678), significant(0)]).toEqual([
    '97.75',
    '0.01234',
    '1.23e+7',
    '0',
  ]);
  expect([bytes(0), bytes(999), bytes(454_690_102), bytes(1.62e9)]).toEqual([
    '0 bytes',
    '999 bytes',
    '455 MB',
    '1.62 GB',
  ]);
  expect(ranges([0, 1, 2, 4, 7, 8])).toBe('0–2, 4, 7, 8');
});

test('templates escape all that is not markup', () => {
  expect(html`<b title="${'"<&>\''}">${[1, undefined, false, html`<i>`]}</b>`.text).toBe(
    '<b title="&quot;&lt;&amp;&gt;&#39;">1<i></b>',
  );
  expect(escaped('a\u0000\u001b\u0085b\n\ud800')).toBe('a\\u{0}\\u{1b}\\u{85}b\n\\u{d800}');
  expect(escaped('config\u202enosj.<exe>')).toBe('config\\u{202e}nosj.&lt;exe&gt;');
});
