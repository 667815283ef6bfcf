// Several data owners, one of them an attacker, through `offsite run`: what is taken, what each is worth, and what is released.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PartyVerdict, PlugInStatus } from '../../src/api/index.ts';
import { peekManifest, sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../src/checkpoint/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { digestIn, type Ended, offsite, savedStatus } from '../support/offsite/index.ts';
import { type Manifest, setField, writeManifests, writeTinyProject } from '../support/tiny/index.ts';

const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
const run = (file: string) => offsite(['run', '-f', at(file), '--work-dir', at('work')]);
const statusOf = () => savedStatus(at('work'), 'PlugIn') as unknown as PlugInStatus;
const sha = (directory: string, file: string) =>
  peekManifest(directory)?.manifest.files.find(({ path }) => path === file)?.sha256;

const trained = ['north', 'south'];
const names = [...trained, 'west'];
let made: Manifest[];
let plug: Manifest;
let hostile: string;
let ended: Ended;
let parties: PartyVerdict[];

beforeAll(async () => {
  const { build, tune, plug: one } = writeTinyProject(work.path);
  const tunes = trained.map((name, i) => {
    const own = structuredClone(tune);
    own.metadata.name = name;
    setField(own, 'spec.training.seed', i);
    setField(own, 'spec.training.steps', 4);
    setField(own, 'spec.output.uri', `file:out/${name}`);
    return own;
  });
  made = [build, ...tunes];
  plug = one;
  writeManifests(at('made.yaml'), made);
  const first = await run('made.yaml');
  expect(first.code, first.stderr).toBe(0);
  hostile = scaled(at('out', 'north'), at('out', 'hostile'), -10);
  const west = scaled(at('out', 'south'), at('out', 'west'), 0.7);
  setField(plug, 'spec.adapter', undefined);
  setField(plug, 'spec.adapters', [
    ...trained.map((name) => ({ ref: { name } })),
    { uri: 'file:out/west', digest: west },
    { uri: 'file:out/hostile', digest: hostile },
  ]);
  setField(plug, 'spec.aggregation', { method: 'multiKrum', attackers: 0, keep: 3, leaveOneOut: true });
  writeManifests(at('plug.yaml'), [...made, plug]);
  ended = await run('plug.yaml');
  parties = (statusOf().parties ?? []) as PartyVerdict[];
});

/** An adapter of full layers whose change is `times` another's. */
function scaled(from: string, directory: string, times: number): string {
  const trained = openCheckpoint(join(from, 'adapter.safetensors'));
  const model = openCheckpoint(at('model', 'model.safetensors'));
  mkdirSync(directory, { recursive: true });
  writeSafetensors(
    join(directory, 'adapter.safetensors'),
    [...trained.tensors.values()].map(({ name, shape }) => {
      const full = model.read(name);
      const values = trained.read(name).map((value, i) => full[i]! + times * (value - full[i]!));
      return { name, shape, dtype: 'F32', bytes: () => encodeFloats(values, 'F32') };
    }),
  );
  trained.close();
  model.close();
  const { madeFrom, hyperparameters } = peekManifest(from)!.manifest;
  return sealArtifact(directory, { kind: 'Adapter', madeFrom, hyperparameters }).digest;
}

test('the hostile one is left out at every layer, the others are taken, in the order of their digests', () => {
  expect(ended.code, ended.stderr).toBe(0);
  expect(parties.map(({ digest }) => digest)).toEqual(
    [...names.map((name) => digestIn(at('out', name))), hostile].sort(),
  );
  for (const { digest, taken, leftOut, layers, norm } of parties) {
    expect([taken, leftOut]).toEqual(digest === hostile ? [0, 2] : [2, 0]);
    expect(layers.map(({ layer }) => layer)).toEqual([0, 4]);
    if (digest !== hostile) continue;
    expect(layers[0]?.reason).toMatch(/^its squared distances to its nearest come to/);
    const others = parties.filter((party) => party.digest !== hostile).map((party) => Number(party.norm));
    expect(Number(norm)).toBeGreaterThan(5 * Math.max(...others));
  }
  expect(statusOf().aggregate).toMatchObject({ method: 'multiKrum' });
});

test('each party has a cell without it, and the hostile one makes no difference', () => {
  const [all] = statusOf().evaluation ?? [];
  for (const { digest, without } of parties) {
    expect(without?.map(({ task }) => task)).toEqual(['tiny']);
    const [{ plugIn, difference }] = without as NonNullable<typeof without> as [
      NonNullable<typeof without>[0],
    ];
    expect(Number(all?.cells.plugIn.value) - Number(plugIn.value)).toBeCloseTo(Number(difference.value), 3);
    expect(Number(difference.low)).toBeLessThanOrEqual(Number(difference.value));
    if (digest === hostile)
      expect(difference).toEqual({ value: '0.0000', stderr: '0.0000', low: '0.0000', high: '0.0000' });
  }
});

test('the manifest and the report say the same', () => {
  const { manifest } = peekManifest(at('out', 'model'))!;
  // A manifest tells no place.
  expect(manifest.scores?.['parties']).toEqual(parties.map(({ adapter: _, ...verdict }) => verdict));
  expect(manifest.madeFrom).toMatchObject(
    Object.fromEntries(parties.map(({ digest }, i) => [`adapters[${i}]`, digest])),
  );
  const page = readFileSync(at('work', 'report.html'), 'utf8');
  expect(page).toContain('Parties');
  expect(page).toContain('left out');
});

/** Where an adapter lies, by its digest. */
const placeOf = (digest: string) =>
  [...names, 'hostile'].find((name) => digestIn(at('out', name)) === digest) as string;

test('each is called as the spec calls it, in status and report; who was left out, the condition and the terminal say', () => {
  const calledOf = (place: string) => (trained.includes(place) ? place : `file:out/${place}`);
  const called = parties.map(({ digest }) => calledOf(placeOf(digest)));
  expect(parties.map(({ adapter }) => adapter)).toEqual(called);
  const page = readFileSync(at('work', 'report.html'), 'utf8');
  for (const name of called) expect(page).toContain(`<th scope="row">${name}</th>`);
  const [condition] = statusOf().conditions ?? [];
  expect(condition?.message).toBe('every stage is done; left out: file:out/hostile at 2 of 2 layers');
  const line = (name: string) => ended.stdout.split('\n').find((text) => text.startsWith(`  ${name} `));
  expect(ended.stdout).toContain('tiny: 4 adapters made one by multiKrum');
  expect(line('file:out/hostile')).toMatch(
    / norm \S+ +distance \S+ +left out at 2 of 2 layers +tiny \+0\.0000 ± 0\.0000 with it$/,
  );
  expect(line('north')).toMatch(/ taken +tiny [+-]0\.\d{4} ± 0\.\d{4} with it$/);
});

/** The PlugIn by itself: what it reads by address and digest, in the other order. */
function alone(name: string, change: (manifest: Manifest) => void): Manifest {
  const own = structuredClone(plug);
  own.metadata.name = name;
  const given = (place: string) => ({ uri: `file:out/${place}`, digest: digestIn(at('out', place)) });
  setField(own, 'spec.emulator', given('emulator'));
  setField(own, 'spec.adapters', [given('hostile'), ...names.map(given)]);
  change(own);
  return own;
}

describe('again, by address and in another order', () => {
  test('what was kept of a run that died is not measured again, and the model is the same', async () => {
    const weights = sha(at('out', 'model'), 'model.safetensors');
    // As after a pod that died while it left the parties out; a figure that nothing measures shows that it was kept.
    const file = at('work', 'work', 'plugin', 'default', 'tiny', 'analysis.json');
    const kept = JSON.parse(readFileSync(file, 'utf8')) as {
      without: Record<string, PartyVerdict['without']>;
    };
    const [, second, ...others] = parties.map(({ digest }) => digest) as [string, string];
    for (const digest of others) delete kept.without[digest];
    kept.without[second]![0]!.difference.value = '0.7777';
    writeFileSync(file, JSON.stringify(kept));
    rmSync(at('out', 'model'), { recursive: true });
    writeManifests(at('turned.yaml'), [alone('tiny', () => {})]);
    const resumed = await run('turned.yaml');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(sha(at('out', 'model'), 'model.safetensors')).toBe(weights);
    const wanted = parties.map((party) => ({
      ...structuredClone(party),
      adapter: `file:out/${placeOf(party.digest)}`,
    }));
    for (const { digest, without } of wanted) if (digest === second) without![0]!.difference.value = '0.7777';
    expect(statusOf().parties).toEqual(wanted);
  });

  test('done before it says the same; saved as an adapter it is of the parties’ type, and plugged in alone the same model', async () => {
    const before = digestIn(at('out', 'model'));
    const { parties: told } = statusOf();
    const saved = alone('saved', (own) => {
      setField(own, 'spec.aggregation.leaveOneOut', undefined);
      setField(own, 'spec.output', { uri: 'file:out/aggregate', save: 'adapter' });
    });
    writeManifests(at('saved.yaml'), [alone('tiny', () => {}), saved]);
    const first = await run('saved.yaml');
    expect(first.code, first.stderr).toBe(0);
    expect(digestIn(at('out', 'model'))).toBe(before);
    expect(statusOf().parties).toEqual(told);
    const one = alone('one', (own) => {
      setField(own, 'spec.adapters', undefined);
      setField(own, 'spec.aggregation', undefined);
      setField(own, 'spec.adapter', { uri: 'file:out/aggregate', digest: digestIn(at('out', 'aggregate')) });
      setField(own, 'spec.output.uri', 'file:out/one');
    });
    writeManifests(at('one.yaml'), [one]);
    const second = await run('one.yaml');
    expect(second.code, second.stderr).toBe(0);
    expect(sha(at('out', 'one'), 'model.safetensors')).toBe(sha(at('out', 'model'), 'model.safetensors'));
  });
});
