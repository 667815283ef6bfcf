import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { duration, openTerminal, type StageEvent } from '../../../../src/progress/index.ts';
import { drawStage } from '../../../../src/progress/terminal/bars.ts';
import { LinesTerminal } from '../../../../src/progress/terminal/lines.ts';

const words = { kind: 'OffsiteTune', metadata: { name: 'words' } };

const progress = (progressPercentage: number, loss = '1.5'): StageEvent => ({
  type: 'progress',
  stage: 'tune',
  progressPercentage,
  estimatedRemainingSeconds: 250,
  metrics: [{ name: 'loss', value: loss }],
});

function captured(isTTY = false, columns = 100) {
  const stream = Object.assign(new PassThrough(), { isTTY, columns });
  const text = () => {
    let all = '';
    for (let part = stream.read(); part !== null; part = stream.read()) all += String(part);
    return all;
  };
  return { stream: stream as unknown as NodeJS.WriteStream, text };
}

test('plain lines: each 5%, at most one a second, the last percent always', () => {
  const { stream, text } = captured();
  let time = 0;
  const terminal = new LinesTerminal(stream, () => time);
  for (let percent = 0; percent <= 100; percent++) {
    terminal.event(words, progress(percent));
    time += 400;
  }
  const percentages = [...text().matchAll(/tune: (\d+)%/g)].map((match) => Number(match[1]));
  expect(percentages).toEqual(Array.from({ length: 21 }, (_, i) => 5 * i));

  for (let percent = 0; percent <= 100; percent++) {
    terminal.event({ ...words, kind: 'Fast' }, progress(percent));
    time += 20;
  }
  expect([...text().matchAll(/tune: (\d+)%/g)].map((match) => Number(match[1]))).toEqual([0, 50, 100]);
});

test('plain lines: a slow stage still shows life', () => {
  const { stream, text } = captured();
  let time = 0;
  const terminal = new LinesTerminal(stream, () => time);
  for (let second = 0; second < 65; second++) {
    terminal.event(words, progress(3));
    time += 1000;
  }
  expect(text().split('\n').filter(Boolean)).toHaveLength(3);
});

test('plain lines: remaining time, metrics, warnings, and why a resource failed', () => {
  const { stream, text } = captured();
  const terminal = openTerminal({ stream });
  terminal.event(words, progress(40));
  terminal.event(words, { type: 'warning', reason: 'SlowDisk', message: 'reads\n\u001b[31mcrawl' });
  terminal.event(words, { type: 'result', stage: 'tune', result: {} });
  terminal.finished({
    resource: words,
    status: {
      phase: 'Failed',
      conditions: [{ type: 'Failed', status: 'True', reason: 'BadData', message: 'row 3' }],
    },
  });
  terminal.close();
  expect(text()).toBe(
    [
      'OffsiteTune words  tune: 40%, 4 min 10 s left, loss 1.5',
      'OffsiteTune words  warning: SlowDisk: reads \\u{1b}[31mcrawl',
      'OffsiteTune words  tune: done',
      'OffsiteTune words  Failed: BadData: row 3',
      '',
    ].join('\n'),
  );
});

const named = (stage: string, progressPercentage = 1): StageEvent =>
  ({ ...progress(progressPercentage), stage }) as StageEvent;

test('plain lines: stages that anybody names are bounded, the rest told once; the resource’s own are always shown', () => {
  const { stream, text } = captured();
  const terminal = new LinesTerminal(stream, () => 0);
  for (let i = 0; i < 5000; i++) {
    terminal.event(words, named(`stage ${i}`));
    terminal.event(words, { type: 'result', stage: `stage ${i}`, result: {} });
    terminal.event(words, { type: 'result', stage: 'stage 0', result: {} });
  }
  terminal.event(words, progress(100));
  terminal.event({ ...words, kind: 'PlugIn' }, named('stage 144'));
  const lines = text().split('\n').filter(Boolean);
  expect(lines).toHaveLength(2 * 144 + 3);
  expect(lines.slice(-3)).toEqual([
    'OffsiteTune words  more than 144 stages: the others are left out',
    'OffsiteTune words  tune: 100%, loss 1.5',
    'PlugIn words  stage 144: 1%, 4 min 10 s left, loss 1.5',
  ]);
});

test('plain lines: warnings by the thousand are bounded, and those of others shown', () => {
  const { stream, text } = captured();
  let time = 0;
  const terminal = new LinesTerminal(stream, () => time);
  const warning: StageEvent = { type: 'warning', reason: 'SlowDisk', message: 'reads crawl' };
  for (let i = 0; i < 5000; i++) terminal.event(words, warning);
  terminal.event({ ...words, metadata: { name: 'words', namespace: 'other' } }, warning);
  time += 2000;
  for (let i = 0; i < 10; i++) terminal.event(words, warning);
  const lines = text().split('\n').filter(Boolean);
  expect(lines).toHaveLength(32 + 1 + 1 + 2);
  expect(lines[32]).toBe('OffsiteTune words  more than 32 warnings at once: the rest is left out');
});

test('plain lines: a resource of the same name elsewhere keeps none of its lines back', () => {
  const { stream, text } = captured();
  const terminal = new LinesTerminal(stream, () => 0);
  for (const namespace of ['a', 'b'])
    terminal.event({ ...words, metadata: { name: 'words', namespace } }, progress(100));
  expect(text().split('\n').filter(Boolean)).toHaveLength(2);
});

test('bars: no more than are kept, of one resource and of all; the ended ones go first', () => {
  const { stream, text } = captured(true);
  stream.rows = 300;
  const terminal = openTerminal({ stream });
  for (let i = 0; i < 5000; i++) terminal.event(words, named(`stage ${i}`, i === 7 ? 100 : 1));
  terminal.event(words, named('tune'));
  const other = { kind: 'PlugIn', metadata: { name: 'other' } };
  for (let i = 0; i < 112; i++) terminal.event(other, named(`cell ${i}`));
  text();
  terminal.close();
  const drawn =
    text()
      .split(/\[\d+A/)
      .at(-1) ?? '';
  expect(drawn.match(/ {2}1%|100%/g)).toHaveLength(256);
  expect(drawn).not.toMatch(/words stage 7 /);
  for (const kept of [/words stage 0 /, /words tune /, /other cell 111 /]) expect(drawn).toMatch(kept);
});

test('bars: stages that have ended go above, once each, before more are drawn than the screen has rows', () => {
  const { stream, text } = captured(true);
  stream.rows = 10;
  const terminal = openTerminal({ stream });
  const names = Array.from({ length: 30 }, (_, i) => `stage ${i}`);
  for (const name of names) for (const percent of [1, 100]) terminal.event(words, named(name, percent));
  terminal.event(words, named('stage 0', 50));
  terminal.close();
  const frames = text();
  const up = [...frames.matchAll(/\[(\d+)A/g)].map(([, lines]) => Number(lines));
  expect(Math.max(...up)).toBeLessThan(10);
  // The line of a bar ends with an escape that clears the rest of it.
  const above = frames
    .split('\n')
    .flatMap((line) => /✔ words (stage \d+) .* loss 1\.5$/.exec(line)?.[1] ?? []);
  expect(above).toEqual(names.slice(0, 23));
  const last = frames.split(/\[\d+A/).at(-1)!;
  expect(last).toMatch(/ {2}words stage 0 +█{12}░{12} {2}50%/);
  expect(last.match(/words stage/g)).toHaveLength(8);
});

test('bars: of more stages that run than the screen has rows those wait for which there is no room, and none is lost', () => {
  const { stream, text } = captured(true);
  stream.rows = 10;
  const terminal = openTerminal({ stream });
  const names = Array.from({ length: 20 }, (_, i) => `stage ${i}`);
  for (const name of names) terminal.event(words, named(name));
  // One that waits ends, then two that are drawn: the first two that wait take their rows.
  for (const name of ['stage 12', 'stage 3', 'stage 5']) terminal.event(words, named(name, 100));
  terminal.close();
  const frames = text();
  const up = [...frames.matchAll(/\[(\d+)A/g)].map(([, lines]) => Number(lines));
  expect(Math.max(...up)).toBeLessThan(10);
  const above = frames
    .split('\n')
    .flatMap((line) => /([✔ ]) words (stage \d+) .* loss 1\.5$/.exec(line)?.slice(1) ?? []);
  const waited = names.slice(10).filter((name) => name !== 'stage 12');
  expect(above).toEqual([
    ...['stage 12', 'stage 3', 'stage 5'].flatMap((name) => ['✔', name]),
    ...waited.flatMap((name) => [' ', name]),
  ]);
  const last = frames.split(/\[\d+A/).at(-1)!;
  const drawn = [...last.matchAll(/words (stage \d+) /g)].map(([, name]) => name);
  expect(drawn).toEqual([0, 1, 2, 4, 6, 7, 8, 9].map((i) => `stage ${i}`));
  expect(frames.match(/! more stages run than the terminal has rows for/g)).toHaveLength(1);
});

test('JSON lines carry every event', () => {
  const { stream, text } = captured();
  const terminal = openTerminal({ json: true, out: stream });
  terminal.event(words, progress(1));
  terminal.event(words, progress(1));
  terminal.finished({ resource: words, status: { phase: 'Complete', conditions: [] } });
  const lines = text()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toEqual([
    { kind: 'OffsiteTune', name: 'words', ...progress(1) },
    { kind: 'OffsiteTune', name: 'words', ...progress(1) },
    { kind: 'OffsiteTune', name: 'words', type: 'finished', phase: 'Complete', conditions: [] },
  ]);
});

test('bars: one line a stage, warnings above them, nothing lost at the end', () => {
  const { stream, text } = captured(true);
  const terminal = openTerminal({ stream });
  terminal.event(words, progress(40));
  terminal.event({ kind: 'EmulatorBuild', metadata: { name: 'words' } }, {
    ...progress(70),
    stage: 'probe',
  } as StageEvent);
  terminal.event(words, { type: 'warning', reason: 'NatsAway', message: 'buffering' });
  terminal.event(words, { type: 'result', stage: 'tune', result: {} });
  terminal.close();
  const drawn = text();
  expect(drawn).toContain('! words: NatsAway: buffering\n');
  expect(drawn).toMatch(/✔ words tune +█{24} 100% in 0 s +loss 1.5/);
  expect(drawn).toMatch(/ {2}words probe +█{17}░{7} {2}70% 4 min 10 s left/);
});

test('a bar is never wider than the terminal, and the time left runs down between events', () => {
  const stage = {
    label: 'a-resource-with-a-long-name tune',
    started: 0,
    outcome: 'running' as const,
    percentage: 33,
    due: 90_000,
    metrics: [
      { name: 'loss', value: '1.2345' },
      { name: 'tokensPerSecond', value: '3120' },
    ],
  };
  for (let columns = 10; columns < 140; columns++) {
    expect([...drawStage(stage, columns, 0)].length).toBeLessThan(columns);
  }
  expect(drawStage(stage, 120, 0)).toContain('1 min 30 s left');
  expect(drawStage(stage, 120, 30_000)).toContain('1 min left');
  expect(drawStage(stage, 120, 200_000)).toContain('0 s left');
});

test('durations as people say them', () => {
  expect([0, 59.4, 60, 250, 600, 3599, 3600, 7500].map(duration)).toEqual([
    '0 s',
    '59 s',
    '1 min',
    '4 min 10 s',
    '10 min',
    '60 min',
    '1 h',
    '2 h 5 min',
  ]);
});
