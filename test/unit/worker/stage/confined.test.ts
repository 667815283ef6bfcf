import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseResource } from '../../../../src/api/index.ts';
import { Mirror } from '../../../../src/artifact/index.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { outputOf, workOf } from '../../../../src/worker/places.ts';
import { checkConfined } from '../../../../src/worker/stage/confined.ts';
import { examineOutput, markOutput, tidyOutput } from '../../../../src/worker/stage/owner.ts';
import { ownerOf } from '../../../../src/worker/stage/result-file.ts';
import { runStage } from '../../../../src/worker/stage/run-stage.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-confined-'));
  for (const place of ['shared/model', 'shared/data', 'shared/out', 'private'])
    mkdirSync(join(root, place), { recursive: true });
  writeFileSync(join(root, 'shared/model/config.json'), '{}');
  writeFileSync(join(root, 'shared/data/probe.jsonl'), '{}');
  writeFileSync(join(root, 'private/rows.jsonl'), '{}');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function job({ confined = true } = {}): StageJob {
  const { build } = tinyManifests((place) => `pvc://shared/${place}`);
  const claims = { shared: join(root, 'shared'), private: join(root, 'private') };
  return {
    ...{ stage: 'probe', resource: parseResource(build, 'test'), inputs: {} },
    mounts: { claims, confined, base: '/' },
  };
}

it.each([
  ['a file that is read', 'spec.probe.data.uri', 'shared/data/probe.jsonl', 'private/rows.jsonl'],
  ['a directory on the way', 'spec.probe.data.uri', 'shared/data', 'private'],
  ['a file in a model', 'spec.model.uri', 'shared/model/LICENSE', 'private/rows.jsonl'],
  ['a directory in a model', 'spec.model.uri', 'shared/model/more', 'private'],
  ['the output', 'spec.output.uri', 'shared/out', 'private'],
])('a link in place of %s that leads to another claim is refused', (_, field, link, target) => {
  writeFileSync(join(root, 'private/probe.jsonl'), '{}');
  rmSync(join(root, link), { recursive: true, force: true });
  symlinkSync(join(root, target), join(root, link));
  expect(() => checkConfined(job())).toThrow(
    expect.objectContaining({
      reason: 'BadSpec',
      message: expect.stringMatching(new RegExp(`^${field}: a symbolic link leads from .* out of its claim`)),
    }),
  );
  checkConfined(job({ confined: false }));
});

it('links within the claim are taken, around in a circle too', () => {
  mkdirSync(join(root, 'shared/blobs'));
  writeFileSync(join(root, 'shared/blobs/1'), 'weights');
  symlinkSync('../blobs/1', join(root, 'shared/model/model.safetensors'));
  symlinkSync('..', join(root, 'shared/model/up'));
  checkConfined(job());
});

const beside = (path: string, name: string) => join(dirname(path), name);
const ownLock = (path: string) => beside(path, `.${path.split('/').at(-1)}.offsite-lock`);
const siblings: [what: string, field: string, link: (job: StageJob) => string][] = [
  ['the lock of the output', 'spec.output.uri', (at) => ownLock(outputOf(at))],
  ['the result beside the output', 'spec.output.uri', (at) => `${outputOf(at)}.result.json`],
  [
    'what is made beside the output',
    'spec.output.uri',
    (at) => `${ownLock(outputOf(at)).slice(0, -'lock'.length)}${'0'.repeat(16)}`,
  ],
  [
    'what was moved aside there',
    'spec.output.uri',
    (at) => `${ownLock(outputOf(at)).slice(0, -'lock'.length)}${'0'.repeat(16)}/previous`,
  ],
  ['a sign of life of the output', 'spec.output.uri', (at) => `${ownLock(outputOf(at))}/7`],
  ['the lock of the work place', 'spec.work.uri', (at) => ownLock(workOf(at).own)],
];

it.each(siblings)('a link in place of %s is refused before anything is written', async (_, field, link) => {
  const at = { ...job(), stage: 'assemble' } as StageJob;
  mkdirSync(join(root, 'private/shards'));
  for (const name of ['1', '2', '40']) writeFileSync(join(root, 'private/shards', name), 'private');
  mkdirSync(dirname(link(at)), { recursive: true });
  symlinkSync(join(root, 'private/shards'), link(at));
  const outcome = await runStage(at, () => {}, new AbortController().signal);
  expect(outcome).toMatchObject({
    ok: false,
    reason: 'BadSpec',
    message: `${field}: ${link(at)} is a symbolic link; its name is kept for what a run makes there: remove it`,
  });
  expect(readdirSync(join(root, 'private/shards'))).toEqual(['1', '2', '40']);
  checkConfined(job({ confined: false }));
});

it('links that come beside an output after the check lead to nothing either', async () => {
  const at = job();
  const output = outputOf(at);
  const mirror = new Mirror({ scratch: undefined, signal: new AbortController().signal });
  const found = await examineOutput(at, mirror);
  mkdirSync(dirname(output), { recursive: true });
  symlinkSync(join(root, 'private/rows.jsonl'), `${output}.result.json`);
  mkdirSync(join(root, 'private/partial'));
  symlinkSync(join(root, 'private'), `${ownLock(output).slice(0, -'lock'.length)}${'0'.repeat(16)}`);
  await tidyOutput(at, mirror);
  await expect(markOutput(found, 'sha256:0')).rejects.toThrow(
    `spec.output.uri: something came to ${output}.result.json while this resource's own was made`,
  );
  expect(readdirSync(join(root, 'private'))).toEqual(['partial', 'rows.jsonl']);
  expect(readFileSync(join(root, 'private/rows.jsonl'), 'utf8')).toBe('{}');
  expect(lstatSync(`${output}.result.json`).isSymbolicLink()).toBe(true);
});

it.each<[string, (path: string) => void]>([
  ['a named pipe', (path) => execFileSync('mkfifo', [path])],
  ['a directory', (path) => mkdirSync(path)],
  ['a link', (path) => symlinkSync(join(root, 'private/rows.jsonl'), path)],
  ["somebody's results", (path) => writeFileSync(path, '{"eval": "of three weeks"}')],
])('%s in place of a result is refused before anything is computed, and stays', async (_, put) => {
  const at = job();
  const file = `${outputOf(at)}.result.json`;
  mkdirSync(dirname(file), { recursive: true });
  put(file);
  const before = lstatSync(file);
  const mirror = new Mirror({ scratch: undefined, signal: new AbortController().signal });
  await expect(examineOutput(at, mirror)).rejects.toThrow(
    `spec.output.uri: ${file} is there and is no result of ours`,
  );
  expect(lstatSync(file).ino).toBe(before.ino);
});

it("an empty result, and those of now and of an earlier version, are in nobody's way", async () => {
  const at = job();
  const file = `${outputOf(at)}.result.json`;
  mkdirSync(dirname(file), { recursive: true });
  const mirror = new Mirror({ scratch: undefined, signal: new AbortController().signal });
  const free = { mayReplace: false, own: undefined, removable: [] };
  for (const text of ['', '{"stage": "tune", "result": {}}', JSON.stringify({ owner: ownerOf(at) })]) {
    writeFileSync(file, text);
    expect(await examineOutput(at, mirror)).toMatchObject(free);
  }
  // Nobody's name is taken for what is written first.
  writeFileSync(`${file}.tmp`, 'notes');
  await markOutput(await examineOutput(at, mirror), 'sha256:0');
  expect(readFileSync(`${file}.tmp`, 'utf8')).toBe('notes');
});

it('a chain of links is followed once each, and no more than a thousand are', () => {
  const chain = (count: number) => {
    for (let at = 0; at < count; at++) {
      mkdirSync(join(root, `shared/model/chain/d${at}`), { recursive: true });
      if (at > 0) symlinkSync(`../d${at}`, join(root, `shared/model/chain/d${at - 1}/n`));
    }
  };
  chain(1000);
  const start = process.cpuUsage();
  checkConfined(job());
  // By the paths as they are reached this took half a minute.
  expect(process.cpuUsage(start).user).toBeLessThan(5e6);
  for (const at of [0, 1]) symlinkSync('chain', join(root, `shared/model/more${at}`));
  expect(() => checkConfined(job())).toThrow(/spec\.[a-z.]+: more than .* 1000 symbolic links, lie there/);
});

it('directories within each other are looked at as deep as a path may be', () => {
  const deep = (length: number) => join(root, 'shared/model', ...new Array<string>(length / 2).fill('d'));
  mkdirSync(deep(1200), { recursive: true });
  checkConfined(job());
  mkdirSync(deep(1400), { recursive: true });
  expect(() => checkConfined(job())).toThrow(/paths of more than 1280 characters lie there/);
});
