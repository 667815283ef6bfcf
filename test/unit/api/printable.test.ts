import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  badModel,
  badSpec,
  isPrintable,
  printable,
  printableJson,
  printableLines,
  setCondition,
} from '../../../src/api/index.ts';
import { StoreError, TakenOver } from '../../../src/artifact/index.ts';
import { problemOfPath } from '../../../src/artifact/inner-path.ts';
import { summary } from '../../../src/cli/summary.ts';
import { openTerminal } from '../../../src/progress/index.ts';
import { failureOf } from '../../../src/worker/index.ts';

/** Clears the screen, writes a lie in green, turns the direction of writing, and is a control sequence in one character. */
const evil = 'w\u001b[2J\u001b[32mall good\r\u009b1m\u202egnp\u2028.bin';
const tamed = 'w\\u{1b}[2J\\u{1b}[32mall good\\r\\u{9b}1m\\u{202e}gnp\\u{2028}.bin';

describe('printable', () => {
  it('writes what cannot be printed as what can, and leaves the rest', () => {
    expect(printable(evil)).toBe(tamed);
    expect(printable('Grüße 🙂 日本語 naïve \\u{1b}')).toBe('Grüße 🙂 日本語 naïve \\u{1b}');
    expect(printable('a\nb\tc\0')).toBe('a\\nb\\tc\\u{0}');
    expect(printableLines('a\nb\u001b')).toBe('a\nb\\u{1b}');
  });

  it.each([
    ['soft hyphen', 0xad],
    ['combining grapheme joiner', 0x34f],
    ['Hangul choseong filler', 0x115f],
    ['Khmer inherent vowel', 0x17b4],
    ['Mongolian vowel separator', 0x180e],
    ['zero width space', 0x200b],
    ['word joiner', 0x2060],
    ['Hangul filler', 0x3164],
    ['variation selector', 0xfe00],
    ['half-width Hangul filler', 0xffa0],
    ['interlinear annotation anchor', 0xfff9],
    ['musical symbol begin beam', 0x1d173],
    ['tag', 0xe0041],
    ['variation selector of the supplement', 0xe0100],
  ])('what is not seen is in no name, and an escape where it is shown: %s', (_, code) => {
    const name = `model${String.fromCodePoint(code)}.safetensors`;
    expect(isPrintable(name)).toBe(false);
    expect(problemOfPath(name)).toBe('has a character that cannot be printed');
    expect(printable(name)).toBe(`model\\u{${code.toString(16)}}.safetensors`);
  });

  it('is the same when done twice, and has nothing left of it, whatever the text', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0x10ffff)), (codes) => {
        const text = String.fromCodePoint(...codes);
        expect(isPrintable(printable(text))).toBe(true);
        expect(printable(printable(text))).toBe(printable(text));
        expect(JSON.parse(printableJson({ text }))).toEqual({
          text: text.toWellFormed() === text ? text : expect.any(String),
        });
      }),
    );
  });

  it('leaves out the middle of what is very long', () => {
    const text = printable(`begin${'x'.repeat(60_000_000)}end`);
    expect(text.length).toBeLessThan(9000);
    expect(text).toMatch(/^beginx+ … \(60000008 characters\) … x+end$/);
  });

  it('JSON for scripts means the same, without what a terminal would take for a command', () => {
    const line = printableJson({ [evil]: evil, faces: '🙂' });
    expect(isPrintable(line)).toBe(true);
    expect(JSON.parse(line)).toEqual({ [evil]: evil, faces: '🙂' });
  });
});

describe('a name from outside', () => {
  it.each<[string, () => string]>([
    ['an error', () => badModel(`${evil}: is damaged`).message],
    ["a store's error", () => new StoreError('StoreUnavailable', `${evil}: is damaged`).message],
    ['any other error', () => failureOf(new Error(`${evil}: is damaged`)).message],
    [
      'a condition, whoever told it',
      () =>
        setCondition([], {
          type: 'Failed',
          status: 'True',
          reason: 'BadModel',
          message: `${evil}: is damaged`,
        } as never)[0]!.message,
    ],
  ])('is printable in %s', (_, message) => {
    expect(message()).toBe(`${tamed}: is damaged`);
  });

  it.each<[string, (name: string) => string]>([
    ['an error', (name) => badModel(`tensor ${name}: is damaged`).message],
    ['one of several', (name) => badSpec([`tensor ${name}: is damaged`]).message],
    ["a store's error", (name) => new StoreError('Missing', `tensor ${name}: is damaged`).message],
    ['any other error', (name) => failureOf(new Error(`tensor ${name}: is damaged`)).message],
    ["another run's", (name) => failureOf(new TakenOver(`tensor ${name}: is damaged`)).message],
  ])('begins no line of its own in %s', (_, message) => {
    const text = message('x is fine\nAdapter DIR: good\n  sha256:1111');
    expect(text).toMatch(/^tensor x is fine\\nAdapter DIR: good\\n {2}sha256:1111: is damaged/);
    expect(isPrintable(text)).toBe(true);
  });

  it('is printable in the summary of a run', () => {
    const text = summary([
      {
        resource: { kind: 'PlugIn', metadata: { name: 'words' } },
        status: {
          phase: 'Failed',
          conditions: [{ type: 'Failed', status: 'True', reason: 'BadModel', message: evil }],
          evaluation: [],
        },
      } as never,
    ]);
    expect(printableLines(text)).toBe(text);
    expect(text).toContain(`Failed  BadModel: ${tamed}`);
  });

  it.each([{ json: true }, { json: false }])('is printable in progress, %o', ({ json }) => {
    const stream = Object.assign(new PassThrough(), { isTTY: false, columns: 100 });
    const terminal = openTerminal({ json, stream, out: stream } as never);
    const words = { kind: 'PlugIn', metadata: { name: evil } };
    terminal.event(words, { type: 'warning', reason: evil, message: evil });
    terminal.event(words, {
      type: 'progress',
      stage: evil,
      progressPercentage: 10,
      metrics: [{ name: evil, value: evil }],
    });
    terminal.finished({ resource: words, status: { phase: evil } });
    terminal.close();
    const shown = String(stream.read());
    expect(shown.split('\n').length).toBeGreaterThan(3);
    expect(printableLines(shown)).toBe(shown);
  });

  it('of 60 MB does not fill a condition', () => {
    const [condition] = setCondition([], {
      type: 'Failed',
      status: 'True',
      reason: 'BadModel',
      message: Array.from({ length: 10_000 }, () => 'x'.repeat(1000)).join('\n'),
    } as never);
    expect(condition!.message.length).toBe(32_768);
  });
});
