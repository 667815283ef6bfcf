/** Where a pod is confined to its claims, nothing is written or cleared through a link that comes on the way to a place of ours. */

import { generateKeyPairSync } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  clearAt,
  clearBeside,
  confineTo,
  seal,
  sealArtifact,
  signArtifact,
  type Work,
  writeArtifact,
  writeSharedArtifact,
  writeWhole,
  writeWholeAmongOthers,
  writeWholeOver,
} from '../../../src/artifact/index.ts';
import { writeSafetensors } from '../../../src/checkpoint/index.ts';
import { saveState, type TrainingState } from '../../../src/training/index.ts';

let root: string;
const at = (...parts: string[]) => join(root, ...parts);
/** What lies on the claim that others may not write to. */
let before: string[];
const inPrivate = () => readdirSync(at('private'), { recursive: true }).map(String).sort();

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-confined-'));
  for (const name of [
    'place/checkpoints/step-00000001',
    'place/once',
    'place/.out.offsite-0123456789abcdef/partial',
  ])
    mkdirSync(at('private', name), { recursive: true });
  for (const name of ['place/checkpoints/weights', 'place/made.json', 'place/manifest.dsse.json'])
    writeFileSync(at('private', name), 'years of work');
  mkdirSync(at('shared/work/place'), { recursive: true });
  before = inPrivate();
  confineTo([at('private'), at('shared')]);
});
afterEach(() => {
  confineTo([]);
  rmSync(root, { recursive: true, force: true });
});

/** Somebody who may write to the shared claim puts a link in place of a directory, long after it was looked at. */
function exchange(name: string, target: string): void {
  if (existsSync(at('shared', name))) renameSync(at('shared', name), at('shared', `${name} of before`));
  mkdirSync(dirname(at('shared', name)), { recursive: true });
  symlinkSync(at('private', target), at('shared', name));
}

const work: Work = { kind: 'Adapter', madeFrom: {}, hyperparameters: {}, isOnce: true };
const state: TrainingState = {
  record: { step: 1 } as TrainingState['record'],
  tensors: [],
};
const key = generateKeyPairSync('ed25519').privateKey;
const own = () => at('shared/work/place');
const fill = (directory: string) => {
  writeFileSync(join(directory, 'file'), 'ours');
  sealArtifact(directory, { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
};

it.each<[string, () => unknown]>([
  ['a file whole', () => writeWhole(join(own(), 'made.json'), 'ours')],
  ['a file among others', () => writeWholeAmongOthers(join(own(), 'made.json'), 'ours')],
  ['a file over what was seen', () => writeWholeOver(join(own(), 'made.json'), 'ours', undefined)],
  ['a file below', () => writeWhole(join(own(), 'checkpoints/weights'), 'ours')],
  ['an artifact', () => writeArtifact(join(own(), 'out'), fill)],
  ['a shared artifact', () => writeSharedArtifact(join(own(), 'out'), fill)],
  ['tensors', () => writeSafetensors(join(own(), 'aggregate.safetensors'), [])],
  ['a checkpoint', () => saveState(join(own(), 'checkpoints'), 'sha256:0', state)],
  ['a signature', () => signArtifact(own(), { digest: `sha256:${'0'.repeat(64)}`, kind: 'Adapter' }, key)],
  [
    'what there may be one of',
    () => seal({ output: at('shared/out'), own: own() }, work, { fill: () => ({}), checkUnchanged() {} }),
  ],
])('%s is not written through a link that came in place of a directory above it', async (_, write) => {
  exchange('work/place', 'place');
  await expect((async () => write())()).rejects.toThrow(
    'a symbolic link that came there leads out of its claim',
  );
  expect(inPrivate()).toEqual(before);
});

it('what is cleared is cleared through no such link', () => {
  mkdirSync(join(own(), 'checkpoints'));
  clearAt(join(own(), 'checkpoints'));
  expect(readdirSync(own())).toEqual([]);
  exchange('work/place', 'place');
  clearAt(join(own(), 'checkpoints'));
  clearBeside(join(own(), 'out'), { surely: true });
  expect(inPrivate()).toEqual(before);
  // A link itself goes, and a link that stays on the claim is followed.
  clearAt(own());
  expect(existsSync(own())).toBe(false);
  mkdirSync(at('shared/elsewhere/checkpoints'), { recursive: true });
  symlinkSync(at('shared/elsewhere'), own());
  clearAt(join(own(), 'checkpoints'));
  expect(readdirSync(at('shared/elsewhere'))).toEqual([]);
  expect(inPrivate()).toEqual(before);
});

it('an artifact that was made before a link came does not take its name through it', async () => {
  mkdirSync(at('shared/team'));
  const ready = async () => exchange('team', 'place');
  await expect(writeArtifact(at('shared/team/out'), fill, { ready })).rejects.toThrow(
    'leads out of its claim',
  );
  expect(inPrivate()).toEqual(before);
});

it('nothing outside of this package removes files by itself but in places that it has made for the moment', () => {
  const src = join(import.meta.dirname, '../../../src');
  const files = readdirSync(src, { recursive: true }).map(String);
  const removing = files.filter(
    (file) =>
      /^(?!artifact).*\.ts$/.test(file) &&
      /\b(rmSync|rmdirSync|unlinkSync)\(/.test(readFileSync(join(src, file), 'utf8')),
  );
  expect(removing.sort()).toEqual(['report/cluster.ts', 'worker/stage/surroundings.ts']);
});
