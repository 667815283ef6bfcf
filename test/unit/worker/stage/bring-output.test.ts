/** An artifact that goes to a store while others write there: what is theirs stays, and what is ours goes, in this run and in the next. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseResource } from '../../../../src/api/index.ts';
import { copyAt } from '../../../../src/artifact/address/copies.ts';
import { type Mirror, sealArtifact } from '../../../../src/artifact/index.ts';
import { pull } from '../../../../src/artifact/mirror/pull.ts';
import { push } from '../../../../src/artifact/mirror/push.ts';
import { StoreCopy } from '../../../../src/artifact/mirror/store-copy.ts';
import type { StageJob } from '../../../../src/worker/job.ts';
import { outputOf } from '../../../../src/worker/places.ts';
import { bringOutput } from '../../../../src/worker/stage/bring-output.ts';
import { examineOutput } from '../../../../src/worker/stage/owner.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';
import { MemoryStore } from '../../../support/unit/artifact/memory-store.ts';

const place = 'exchange/team/adapter';
let root: string;
let store: MemoryStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-bring-'));
  store = new MemoryStore();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

type Files = Record<string, string>;

/** What somebody else lays at the output: in place of whatever is there, as `aws s3 cp` does. */
const lay = (files: Files, mark?: string) => {
  for (const [name, content] of Object.entries(files))
    store.put(`${place}/${name}`, Buffer.from(content), mark);
};
const takeAway = (name: string) => store.remove([`${place}/${name}`]);
const contentOf = (name: string) => store.objects.get(`${place}/${name}`)?.bytes.toString();
const there = () =>
  [...store.objects.keys()]
    .filter((object) => object.startsWith(`${place}/`))
    .map((object) => object.slice(place.length + 1))
    .sort();

/** The mirror of a pod that has the store's copies on its own disk; what is no copy lies in place. */
function mirrorIn(scratch: string): Mirror {
  const { signal } = new AbortController();
  const copyOf = (path: string) => copyAt(scratch, path);
  const at = (path: string) => copyOf(path)!.place;
  const bring = async (path: string) => {
    const copy = copyOf(path);
    if (copy) await pull(store, new StoreCopy(scratch, copy), { signal, exact: true });
  };
  return {
    mirrors: (path: string) => copyOf(path) !== undefined,
    pull: bring,
    pullDocument: bring,
    async push(path: string, alike: { exact: boolean }, more: object) {
      const copy = copyOf(path);
      return copy ? await push(store, new StoreCopy(scratch, copy), { signal, ...alike, ...more }) : [];
    },
    look: async (path: string) =>
      new Map((await store.list(at(path))).map(({ path: name, version }) => [name, version])),
    written: (path: string) => store.written(at(path)),
    async read(path: string, version: string) {
      const there = store.objects.get(at(path));
      expect(there?.version).toBe(version);
      return there!.bytes;
    },
  } as unknown as Mirror;
}

interface Run {
  work?: boolean;
  /** Another place than the usual. */
  workAt?: string;
  replace?: boolean;
  /** What others do while it computes. */
  meanwhile?: () => void;
}

/** A pod of the resource. */
function podOf({ work = true, workAt = 's3://private/work', replace = false }: Run, stage = 'assemble') {
  const scratch = mkdtempSync(join(root, 'pod-'));
  const { build } = tinyManifests((name) => `s3://in/${name}`);
  const spec = {
    ...build.spec,
    output: { uri: `s3://${place}`, replace },
    ...(work && { work: { uri: workAt } }),
  };
  const resource = parseResource({ ...build, spec }, 'test');
  const mounts = { claims: {}, confined: true, base: '/', scratch };
  const job = { stage, resource, inputs: {}, mounts } as unknown as StageJob;
  return { job, mirror: mirrorIn(scratch) };
}

/** What a stage finds to give way that only prepares another. */
async function lookAhead(options: Run): Promise<string[]> {
  const { job, mirror } = podOf(options, 'probe');
  return (await examineOutput(job, mirror)).removable.sort();
}

/** One run of the resource, in a pod of its own: it looks at its output, makes an artifact of these files and brings it. */
async function run(files: Files, options: Run = {}): Promise<void> {
  const { job, mirror } = podOf(options);
  const found = await examineOutput(job, mirror);
  options.meanwhile?.();
  const output = outputOf(job);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(output, name), content);
  const { digest } = sealArtifact(output, { kind: 'Adapter', madeFrom: {}, hyperparameters: { files } });
  await bringOutput(job, digest, { found, mirror });
  await found.beside.write({ stage: 'assemble', result: { artifact: { digest } } });
}

/** The run ends as if it were killed when it brings this file. */
async function killed(at: string, files: Files, options: Run): Promise<void> {
  const { onWrite } = store;
  store.onWrite = (object) => {
    if (object === `${place}/${at}`) throw new Error('killed');
  };
  await expect(run(files, options)).rejects.toThrow('killed');
  store.onWrite = onWrite;
}

const first = { 'adapter.safetensors': 'ours', 'other.json': 'ours' };
const second = { 'adapter.safetensors': 'ours of another spec' };
const namesOf = (files: Files) => [...Object.keys(files), 'manifest.json'].sort();

/** The manifest of somebody else's artifact of files of these names. */
const manifestOf = (...names: string[]) => {
  const files = names.map((path) => ({ path, sizeBytes: 6, sha256: '0'.repeat(64) }));
  return JSON.stringify({ kind: 'Adapter', files, madeFrom: {}, hyperparameters: {} });
};

describe.each([
  ['with', true],
  ['without', false],
])('%s a work place that is kept', (_, work) => {
  it.each([
    ['other bytes', 'their only copy'],
    ['the bytes of ours', first['adapter.safetensors']],
  ])(
    'a file of %s that came to a name of ours stays in every later run, and what went up is gone',
    async (__, theirs) => {
      const meanwhile = () => lay({ 'adapter.safetensors': theirs });
      await expect(run(first, { work, meanwhile })).rejects.toMatchObject({
        reason: 'BadSpec',
        message: expect.stringContaining('something came to s3://exchange/team/adapter') as string,
      });
      for (const files of [first, second, first])
        await expect(run(files, { work })).rejects.toMatchObject({
          reason: 'BadSpec',
          message: expect.stringContaining('holds "adapter.safetensors"') as string,
        });
      expect(there()).toEqual(['adapter.safetensors']);
      expect(contentOf('adapter.safetensors')).toBe(theirs);
      takeAway('adapter.safetensors');
      await run(second, { work });
      expect(there()).toEqual(namesOf(second));
    },
  );

  it('one with the mark of another push, copied there within the store, stays, too, where nothing was and where a killed run left something', async () => {
    const meanwhile = () => lay({ 'adapter.safetensors': 'their only copy' }, 'of another push');
    for (const isKilled of [false, true]) {
      store.objects.clear();
      if (isKilled) await killed('manifest.json', first, { work });
      await expect(run(first, { work, meanwhile })).rejects.toThrow('something came');
      await expect(run(first, { work })).rejects.toThrow('holds "adapter.safetensors"');
      expect(contentOf('adapter.safetensors')).toBe('their only copy');
    }
  });

  it.each([
    ['the same spec', first],
    ['another', second],
  ])(
    'what a killed run left is still known when the next one ended since a note came: %s clears it',
    async (__, next) => {
      await killed('other.json', first, { work });
      const meanwhile = () => lay({ 'README.md': 'their note' });
      for (const files of [first, second])
        await expect(run(files, { work, meanwhile })).rejects.toMatchObject({ reason: 'BadSpec' });
      expect(contentOf('README.md')).toBe('their note');
      takeAway('README.md');
      await run(next, { work });
      expect(there()).toEqual(namesOf(next));
    },
  );

  it('what is left of an earlier artifact that gave way is still known when the new one was killed, or ended since a file came', async () => {
    await run({ ...first, 'more.json': 'ours of before' }, { work });
    await killed('adapter.safetensors', second, { work });
    expect(there()).not.toContain('manifest.json');
    const meanwhile = () => lay({ 'adapter.safetensors': 'their only copy' });
    await expect(run(second, { work, meanwhile })).rejects.toThrow('something came');
    await expect(run(second, { work })).rejects.toThrow('holds "adapter.safetensors"');
    expect(contentOf('adapter.safetensors')).toBe('their only copy');
    takeAway('adapter.safetensors');
    await run(second, { work });
    expect(there()).toEqual(namesOf(second));
  });

  it('one that came under a name of the earlier artifact alone stays when a later spec has that name', async () => {
    await run(first, { work });
    const { onWrite } = store;
    store.onWrite = (object) => {
      if (object === `${place}/adapter.safetensors`) lay({ 'other.json': 'their only copy' });
    };
    await expect(run(second, { work })).rejects.toThrow('move it away');
    store.onWrite = onWrite;
    await expect(run(first, { work })).rejects.toThrow('holds "other.json" beside the artifact');
    expect(contentOf('other.json')).toBe('their only copy');
  });

  it('what is left is known to each stage, and where another work place is named, until another resource has said that the output is its own', async () => {
    await run(first, { work });
    await killed('other.json', { ...first, ...second }, { work });
    const left = ['adapter.safetensors', 'other.json'];
    expect(there()).toEqual(left);
    expect(await lookAhead({ work })).toEqual(left);
    expect(await lookAhead({ work, workAt: 's3://private/another' })).toEqual(left);
    const word = store.objects.get(`${place}.result.json`)!;
    const owner = { kind: 'EmulatorBuild', namespace: 'default', name: 'another' };
    store.put(`${place}.result.json`, Buffer.from(JSON.stringify({ owner, digests: [] })));
    await expect(run(second, { work })).rejects.toThrow(/holds ".+" and 1 more and is no artifact/);
    expect(there()).toEqual(left);
    store.objects.set(`${place}.result.json`, word);
    await run(second, { work });
    expect(there()).toEqual(namesOf(second));
  });

  describe.each([
    // Without a work place there is nothing but the name.
    ...(work ? ([['one of the same name made elsewhere', true]] as const) : []),
    ['somebody laid there', false] as const,
  ])('an artifact of the very digest that %s', (__, hasWord) => {
    const elsewhere = { workAt: 's3://private/elsewhere' };
    const object = (name: string) => `${place}/${name}`;

    /** What others read of it is whole at every moment. */
    beforeEach(async () => {
      await run(first, elsewhere);
      if (!hasWord) store.remove([`${place}.result.json`]);
      const whole = namesOf(first).map((name) => [name, contentOf(name)]);
      store.onChange = () => expect(namesOf(first).map((name) => [name, contentOf(name)])).toEqual(whole);
    });

    /** It may be replaced by none of those who have made it. */
    async function expectKept(): Promise<void> {
      for (const options of [{ work }, ...(hasWord ? [elsewhere] : [])]) {
        const { job, mirror } = podOf(options);
        expect(await examineOutput(job, mirror)).toMatchObject({ mayReplace: false, own: undefined });
      }
    }

    it('is taken as it stands where its server keeps what each file is: nothing goes up, and a signature stays', async () => {
      lay({ 'manifest.dsse.json': 'theirs' });
      const { onWrite } = store;
      store.onWrite = (written) => {
        if (written.startsWith(object(''))) throw new Error('full');
      };
      await run(first, { work });
      store.onWrite = onWrite;
      expect(there()).toEqual([...namesOf(first), 'manifest.dsse.json'].sort());
      expect(contentOf('manifest.dsse.json')).toBe('theirs');
      await expectKept();
    });

    it.each(Object.keys(first))(
      'stays one where that is not kept and a push is killed at %s',
      async (name) => {
        for (const there of namesOf(first)) {
          const { bytes, version } = store.objects.get(object(there))!;
          store.objects.set(object(there), { bytes, version });
        }
        await killed(name, first, { work });
        await expectKept();
        await run(first, { work });
        expect(there()).toEqual(namesOf(first));
        await expectKept();
      },
    );

    it.each([
      ['another', () => lay({ 'other.json': 'damaged by somebody' }, 'of another push')],
      ['gone', () => takeAway('other.json')],
    ])('is made whole below its manifest where a file is %s', async (__, damage) => {
      const { onChange } = store;
      store.onChange = () => {};
      damage();
      store.onChange = () => expect(there()).toContain('manifest.json');
      await killed('other.json', first, { work });
      await run(first, { work });
      onChange();
      await expectKept();
    });
  });

  describe('where an artifact is to be replaced', () => {
    const replace = true;

    it('one that came meanwhile is, by what its own manifest lists', async () => {
      await run(first, { work });
      const meanwhile = () => {
        store.objects.clear();
        lay({ 'adapter.safetensors': 'theirs', 'theirs.json': 'theirs' });
        lay({ 'manifest.json': manifestOf('adapter.safetensors', 'theirs.json') });
      };
      await run(second, { work, replace, meanwhile });
      expect(there()).toEqual(namesOf(second));
      expect(contentOf('adapter.safetensors')).toBe(second['adapter.safetensors']);
    });

    const theirs = { 'adapter.safetensors': 'theirs', 'other.json': 'their only copy' };
    it.each([
      ['comes without one', theirs, 'BadSpec', /holds ".+" and 1 more and is no artifact/],
      [
        'comes beside one',
        { ...theirs, 'manifest.json': manifestOf('adapter.safetensors') },
        'BadSpec',
        /holds "other.json" beside the artifact's own files/,
      ],
      [
        'comes with a manifest.json that is none',
        { ...theirs, 'manifest.json': '{"name": "their site"}' },
        'BadModel',
        /manifest\.json: is damaged/,
      ],
    ])('a file that %s stays, under a name of ours, too', async (_, laid: Files, reason, message) => {
      const refusal = { reason, message: expect.stringMatching(message) as string };
      for (const isFirst of [true, false]) {
        store.objects.clear();
        if (!isFirst) await killed('manifest.json', first, { work });
        const meanwhile = () => lay(laid);
        await expect(run(first, { work, replace, meanwhile })).rejects.toMatchObject(refusal);
        // Before the run the answer is the same.
        await expect(run(first, { work, replace })).rejects.toMatchObject(refusal);
        await expect(lookAhead({ work, replace })).rejects.toMatchObject(refusal);
        expect(there()).toEqual(Object.keys(laid).sort());
        for (const [name, content] of Object.entries(laid)) expect(contentOf(name)).toBe(content);
      }
    });

    it('what of it is another since it was read stays, and ends the run', async () => {
      lay({ 'adapter.safetensors': 'theirs', 'theirs.json': 'theirs' });
      lay({ 'manifest.json': manifestOf('adapter.safetensors', 'theirs.json') });
      store.onWrite = (object) => {
        // Said last before anything goes up.
        if (object === `${place}.result.json`) lay({ 'theirs.json': 'their only copy' });
      };
      await expect(run(first, { work, replace })).rejects.toMatchObject({ reason: 'Changed' });
      expect(there()).toEqual(['adapter.safetensors', 'manifest.json', 'theirs.json']);
      expect(contentOf('theirs.json')).toBe('their only copy');
    });
  });
});

it('where a server keeps no marks, what lay there before is known to each stage by the version in which the work place saw it', async () => {
  await run(first);
  await killed('other.json', { ...first, ...second }, {});
  const object = store.objects.get(`${place}/other.json`)!;
  store.objects.set(`${place}/other.json`, { bytes: object.bytes, version: object.version });
  expect(await lookAhead({})).toEqual(['adapter.safetensors', 'other.json']);
  lay({ 'other.json': 'their only copy' });
  await expect(lookAhead({})).rejects.toThrow('holds "other.json"');
});
