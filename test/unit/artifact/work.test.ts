/** A stage's work: known again by what its resource says it has made, and made whole or not at all. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  cameTo,
  checkFree,
  clearBeside,
  type Described,
  type Destination,
  doneOrFree,
  identityOf,
  inPlace,
  type Keeper,
  openArtifact,
  type Sealing,
  seal,
  sealArtifact,
  type Work,
  WrittenFiles,
} from '../../../src/artifact/index.ts';

let root: string;
let output: string;
let own: string;
let place: Destination;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-work-'));
  output = join(root, 'out');
  own = join(root, 'work/offsitetune/default/words');
  place = { output, own, mayReplace: false };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const work: Work = {
  kind: 'Adapter',
  madeFrom: { emulator: 'sha256:e', data: 'sha256:d' },
  hyperparameters: { steps: 3, adapter: { type: 'lora', rank: 4 } },
};

/** What the work comes to; or, with other bytes, what somebody else says that it came to. */
const filling = (bytes: string) => (files: WrittenFiles) => {
  files.write('adapter.safetensors', bytes);
  return { bestStep: 2 };
};
const sealing: Sealing = { fill: filling('bytes'), checkUnchanged() {} };

/** The artifact of a work, laid at the output by somebody else. @returns its digest */
async function lay(bytes: string, of: Work = work): Promise<string> {
  const elsewhere = join(root, 'elsewhere');
  const { digest } = await seal({ output: elsewhere, own: join(root, 'work of another') }, of, {
    ...sealing,
    fill: filling(bytes),
  });
  rmSync(output, { recursive: true, force: true });
  cpSync(elsewhere, output, { recursive: true });
  return digest;
}

it('is found again where it was sealed, however its fields are ordered, with what was said of it', async () => {
  expect(await doneOrFree(place, work)).toBeUndefined();
  const { digest, sizeBytes } = await seal(place, work, sealing);
  const { madeFrom, kind } = work;
  const turned = { hyperparameters: { adapter: { rank: 4, type: 'lora' }, steps: 3 }, kind, madeFrom };
  expect(await doneOrFree(place, turned)).toMatchObject({ digest, manifest: { scores: { bestStep: 2 } } });
  expect(openArtifact(output, { kind: 'Adapter', digest })).toMatchObject({ digest, sizeBytes });
});

it('is not done where somebody else laid an artifact that says so: it is done, and the other refused or replaced', async () => {
  const forged = await lay('forged');
  expect(await doneOrFree(place, work)).toBeUndefined();
  const refusal = new RegExp(
    `^spec\\.output\\.uri: .*out holds an artifact \\(${forged}\\) whose manifest says that it is of this very work, but this work came to sha256:`,
  );
  await expect(seal(place, work, sealing)).rejects.toThrow(refusal);
  expect(openArtifact(output).digest).toBe(forged);
  // Of a refused one nothing is said to be made, so that it is refused again, for the same reason.
  expect(existsSync(own)).toBe(false);

  const replacing = { ...place, mayReplace: true };
  expect(await doneOrFree(replacing, work)).toBeUndefined();
  const { digest } = await seal(replacing, work, sealing);
  expect(openArtifact(output).digest).toBe(digest);
  // Who comes later is told at once, before anything is computed.
  await lay('forged');
  await expect(doneOrFree(place, work)).rejects.toThrow(refusal);
  expect(await doneOrFree(replacing, work)).toBeUndefined();
});

it("another's artifact that comes while the work is done stays; what was there before is replaced where it may be", async () => {
  const place = { output, own, mayReplace: false };
  expect(await doneOrFree(place, work)).toBeUndefined();
  const other = { ...work, kind: 'Model' as const };
  let theirs = '';
  const meanwhile: Sealing = {
    ...sealing,
    async fill(files) {
      theirs = await lay('theirs', other);
      return filling('bytes')(files);
    },
  };
  const failure = await seal(place, work, meanwhile).catch(String);
  expect(failure).toContain(
    `spec.output.uri: ${output} holds an artifact of kind Model (${theirs}) that came there while this resource's own was made`,
  );
  expect(openArtifact(output).digest).toBe(theirs);

  const replacing = { ...place, mayReplace: theirs };
  expect(await doneOrFree(replacing, work)).toBeUndefined();
  const { digest } = await seal(replacing, work, sealing);
  expect(openArtifact(output).digest).toBe(digest);
});

it('what comes while its word goes to its store, after the last look, stays', async () => {
  const other = { ...work, kind: 'Model' as const };
  let theirs = '';
  const slow: Keeper = {
    ...inPlace,
    async push() {
      theirs = await lay('theirs', other);
    },
  };
  const failure = await seal({ ...place, keeper: slow }, work, sealing).catch(String);
  expect(failure).toContain(
    `spec.output.uri: ${output} holds an artifact of kind Model (${theirs}) that came there while this resource's own was made`,
  );
  expect(openArtifact(output).digest).toBe(theirs);
  expect(readdirSync(root).filter((name) => name.startsWith('.out'))).toEqual([]);
});

it('is done anew where nothing says that this resource made it, to the same bytes', async () => {
  const digest = await lay('bytes');
  expect(await doneOrFree(place, work)).toBeUndefined();
  expect((await seal(place, work, sealing)).digest).toBe(digest);
  expect((await doneOrFree(place, work))?.digest).toBe(digest);
});

it('is known by more than its manifest tells where it depends on more, and by the word of an earlier version', async () => {
  const { digest } = await seal(place, { ...work, identity: 'rows' }, sealing);
  expect((await doneOrFree(place, { ...work, identity: 'rows' }))?.digest).toBe(digest);
  const others = { ...place, mayReplace: true };
  expect(await doneOrFree(others, { ...work, identity: 'other rows' })).toBeUndefined();
  rmSync(own, { recursive: true });
  expect(await doneOrFree(others, { ...work, identity: 'rows' })).toBeUndefined();
  expect((await doneOrFree(others, { ...work, identity: 'rows' }, digest))?.digest).toBe(digest);
});

it('of which there may be one is handed over again, and no other bytes of it, whatever lies at the output', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  rmSync(output, { recursive: true });
  expect((await seal(place, once, sealing)).digest).toBe(digest);
  const said = expect.objectContaining({
    reason: 'EngineUnavailable',
    message: expect.stringMatching(
      `^spec.privacy: this training came to ${digest} before and comes to sha256:.* here`,
    ),
  });
  const second = { ...sealing, fill: filling('bytes as another processor rounds them') };
  for (const mayReplace of [false, true])
    await expect(seal({ ...place, mayReplace }, once, second)).rejects.toEqual(said);
  rmSync(output, { recursive: true });
  await expect(seal(place, once, second)).rejects.toEqual(said);
  expect(existsSync(output)).toBe(false);
  // Of other rows it is another work, and of what is no secret there may be any number.
  await seal(place, { ...once, identity: 'other rows' }, second);
  await seal({ ...place, mayReplace: true }, work, second);
});

it('of which there may be one is refused before a byte of a second lies where others read, and its word is said before', async () => {
  const once = { ...work, isOnce: true };
  // Where others read: the output, and what is made beside it.
  const beside = () => readdirSync(root).filter((name) => name !== 'work');
  const seen: string[][] = [];
  const claimed: string[] = [];
  const keeper: Keeper = {
    ...inPlace,
    async claim(digest) {
      claimed.push(digest);
    },
  };
  const looking = (bytes: string): Sealing => ({
    ...sealing,
    fill(files, directory) {
      if (!directory.startsWith(own)) {
        const { once } = JSON.parse(readFileSync(join(own, 'made.json'), 'utf8'));
        seen.push(once.map((made: { digest: string }) => made.digest));
        seen.push([...claimed]);
      } else expect(beside()).toEqual([]);
      return filling(bytes)(files);
    },
  });
  const { digest } = await seal({ ...place, keeper }, once, looking('bytes'));
  expect(seen.splice(0)).toEqual([[digest], [digest]]);
  expect(readdirSync(own)).toEqual(['made.json']);
  rmSync(output, { recursive: true });
  await expect(seal(place, once, looking('bytes as another rounds them'))).rejects.toThrow('spec.privacy');
  expect(seen).toEqual([]);
  expect(beside()).toEqual([]);
  expect(readdirSync(own)).toEqual(['made.json']);
});

/** What a process that was killed right before the artifact took its place has left: that, whole, beside the output. */
function cutOff(): string {
  const container = join(root, '.out.offsite-00112233445566ff');
  mkdirSync(container);
  writeFileSync(join(container, 'offsite-tuning.json'), '{}');
  renameSync(output, join(container, 'partial'));
  return join(container, 'partial');
}

it('of which there may be one is laid where it was cut off on its way, whatever the resource has made since', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  cutOff();
  const other = { ...once, identity: 'other rows' };
  await seal({ ...place, output: join(root, 'another') }, other, { ...sealing, fill: filling('others') });
  clearBeside(output, { keep: [digest] });
  const claimed: string[] = [];
  const keeper: Keeper = {
    ...inPlace,
    async claim(claim) {
      claimed.push(claim);
      expect(existsSync(output)).toBe(false);
    },
  };
  // Where the place is not ours any more it stays; so it does for other work.
  await expect(doneOrFree({ ...place, keeper: { ...keeper, held: stopping } }, once)).rejects.toThrow(
    'stopped',
  );
  for (const identity of ['other rows', 'unknown'])
    expect(await doneOrFree(place, { ...once, identity })).toBeUndefined();
  expect(await doneOrFree({ ...place, keeper }, once)).toMatchObject({
    digest,
    manifest: { kind: 'Adapter' },
  });
  expect(claimed).toEqual([digest]);
  expect(openArtifact(output).digest).toBe(digest);
  expect(readdirSync(root).filter((name) => name.startsWith('.out'))).toEqual([]);
});

it('of which there may be one is handed on as what was found whole, whatever another lays in its stead meanwhile', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  const left = cutOff();
  const keeper: Keeper = {
    ...inPlace,
    claim: async () => void sealArtifact(left, { ...work, scores: { bestStep: 3 } }),
  };
  expect(await doneOrFree({ ...place, keeper }, once)).toMatchObject({ digest });
  expect(openArtifact(output).digest).not.toBe(digest);
});

it('what was cut off on its way stays for its own spec until another one takes its place, on whatever machine it was', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  const container = dirname(cutOff());
  const process = { machine: 'another', id: 1, started: '1' };
  writeFileSync(join(container, 'offsite-tuning.json'), JSON.stringify({ process, isLocked: true }));
  const other = { ...once, identity: 'other rows' };
  expect(await doneOrFree(place, other)).toBeUndefined();
  clearBeside(output, { keep: [digest] });
  expect(existsSync(container)).toBe(true);
  const others = await seal(place, other, { ...sealing, fill: filling('others') });
  expect(existsSync(container)).toBe(false);
  expect(await doneOrFree({ ...place, mayReplace: others.digest }, once)).toBeUndefined();
  expect(openArtifact(output).digest).toBe(others.digest);
});

it('of which there may be one takes the place of an earlier one that may go, as if it had not been cut off, and of no other', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  const left = cutOff();
  const theirs = await lay('theirs', { ...work, kind: 'Model' });
  await expect(doneOrFree(place, once)).rejects.toMatchObject({ reason: 'BadSpec' });
  expect([openArtifact(output).digest, openArtifact(left).digest]).toEqual([theirs, digest]);
  expect(await doneOrFree({ ...place, mayReplace: theirs }, once)).toMatchObject({ digest });
  expect(openArtifact(output).digest).toBe(digest);
});

it.each<[string, (left: string) => void]>([
  ['is cut short', (left) => writeFileSync(join(left, 'adapter.safetensors'), 'byt')],
  ['is another by its manifest', (left) => sealArtifact(left, { ...work, scores: { bestStep: 3 } })],
  ['has no manifest', (left) => rmSync(join(left, 'manifest.json'))],
  ['has a file beside it', (left) => writeFileSync(join(left, 'thesis'), 'years of work')],
])(
  'of which there may be one is not laid, and is cleared, where what lies beside the output %s',
  async (_, damage) => {
    const once = { ...work, isOnce: true };
    const { digest } = await seal(place, once, sealing);
    const left = cutOff();
    damage(left);
    expect(await doneOrFree(place, once)).toBeUndefined();
    expect(existsSync(output)).toBe(false);
    clearBeside(output, { keep: [digest] });
    expect(readdirSync(root)).toEqual(['work']);
  },
);

it('of which there may be one is not forgotten where an earlier version said so alone', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  writeFileSync(join(own, 'made.json'), JSON.stringify({ identity: identityOf(once), digest }));
  for (const identity of ['another', 'and one more']) {
    rmSync(output, { recursive: true });
    await seal(place, { ...once, identity }, sealing);
  }
  expect(await cameTo(place, once)).toBe(digest);
});

it('of which there may be one is not forgotten for other work of the same resource, be it of that kind or not', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  rmSync(output, { recursive: true });
  await seal(place, { ...once, identity: 'another' }, sealing);
  rmSync(output, { recursive: true });
  await seal(place, { ...work, identity: 'of no secret' }, sealing);
  expect(await cameTo(place, once)).toBe(digest);
  rmSync(output, { recursive: true });
  const second = { ...sealing, fill: filling('bytes as another processor rounds them') };
  await expect(seal(place, once, second)).rejects.toThrow(
    `spec.privacy: this training came to ${digest} before`,
  );
});

it('of which there may be one is not begun where it lies at the output and the work place, lost or an older state of it, knows nothing', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  expect(await doneOrFree({ ...place, mayReplace: digest }, once)).toMatchObject({ digest });
  rmSync(own, { recursive: true });
  for (const mayReplace of [false, digest])
    await expect(doneOrFree({ ...place, mayReplace }, once)).rejects.toMatchObject({
      reason: 'BadSpec',
      message: expect.stringMatching(
        'of this very training, of which the work place knows nothing',
      ) as string,
    });
  // Of other rows, which the manifest does not tell, it is this resource's own earlier one.
  await seal({ ...place, own: `${own} elsewhere`, output: `${output} elsewhere` }, once, sealing);
  const others = { ...place, own: `${own} elsewhere`, mayReplace: digest };
  expect(await doneOrFree(others, { ...once, identity: 'other rows' })).toBeUndefined();
  // In the words of an earlier version it is known; of other work there may be several; and who says so may have another.
  expect(await doneOrFree({ ...place, mayReplace: digest }, once, digest)).toMatchObject({ digest });
  expect(await doneOrFree({ ...place, mayReplace: digest }, work)).toBeUndefined();
  expect(await doneOrFree({ ...place, mayReplace: true }, once)).toBeUndefined();
});

it('of which there may be one is not begun where the word beside the output, whatever lies there, names one that the work place does not know', async () => {
  const once = { ...work, isOnce: true };
  const told = `sha256:${'7'.repeat(64)}`;
  const said = { ...place, told };
  await expect(doneOrFree(said, once)).rejects.toMatchObject({
    reason: 'BadSpec',
    message: expect.stringMatching(
      `^spec.output.uri: what lies beside ${output} says that a resource of this name made ${told} .* of which the work place knows nothing.*spec.work.uri`,
    ) as string,
  });
  // Of other work there may be several; and who says so may have another.
  expect(await doneOrFree(said, work)).toBeUndefined();
  expect(await doneOrFree({ ...said, mayReplace: true }, once)).toBeUndefined();
  // What was made there is gone on from and made again, also where its word did not come to the output; of other work it is remembered.
  const { digest } = await seal(place, once, sealing);
  rmSync(output, { recursive: true });
  for (const word of [told, digest, undefined])
    expect(await doneOrFree({ ...place, told: word }, once)).toBeUndefined();
  expect(await doneOrFree({ ...place, told: digest }, { ...once, identity: 'other rows' })).toBeUndefined();
  await expect(doneOrFree(said, { ...once, identity: 'other rows' })).rejects.toThrow(
    'a resource of this name',
  );
});

it('of which there may be one is the same whatever is said of what makes no other: taken, and refused where it is not remembered', async () => {
  const nameOf = ({ hyperparameters: { steps, adapter } }: Described) =>
    identityOf({ madeFrom: {}, hyperparameters: { steps, adapter } });
  const once: Work = { ...work, isOnce: true, sameAs: (said) => [nameOf(said), identityOf(said)] };
  const other = { ...once, hyperparameters: { ...work.hyperparameters, threads: 3 } };
  const { digest } = await seal(place, once, sealing);
  for (const mayReplace of [false, digest, true])
    expect(await doneOrFree({ ...place, mayReplace }, other)).toMatchObject({ digest });
  rmSync(output, { recursive: true });
  expect(await cameTo(place, other)).toBe(digest);
  const second = { ...sealing, fill: filling('bytes under another noise') };
  await expect(seal(place, other, second)).rejects.toThrow(`this training came to ${digest} before`);
  expect(existsSync(output)).toBe(false);
  // Of each the own word counts first: an earlier version may have made both.
  const file = join(own, 'made.json');
  const said = [once, other].map((each, i) => ({ identity: identityOf(each), digest: `sha256:${i}` }));
  writeFileSync(file, JSON.stringify({ ...said[0], once: said }));
  expect(await Promise.all([once, other].map((each) => cameTo(place, each)))).toEqual([
    'sha256:0',
    'sha256:1',
  ]);
  // By what an artifact at the output says of itself, what an earlier version has said of it alone is known.
  const laid = await lay('bytes', once);
  writeFileSync(file, JSON.stringify({ identity: identityOf(once), digest: laid }));
  expect(await doneOrFree(place, other)).toMatchObject({ digest: laid });
  rmSync(file);
  await expect(doneOrFree({ ...place, mayReplace: laid }, other)).rejects.toThrow(
    'of this very training, of which the work place knows nothing',
  );
});

it('of which there may be one is made no more under a name that has made as many as are remembered', async () => {
  const once = { ...work, isOnce: true };
  const { digest } = await seal(place, once, sealing);
  const file = join(own, 'made.json');
  const kept = JSON.parse(readFileSync(file, 'utf8'));
  const others = Array.from({ length: 4095 }, (_, i) => ({ identity: `other ${i}`, digest: 'sha256:x' }));
  writeFileSync(file, JSON.stringify({ ...kept, once: [...others, ...kept.once] }));
  expect((await seal(place, once, sealing)).digest).toBe(digest);
  rmSync(output, { recursive: true });
  await expect(seal(place, { ...once, identity: 'one more' }, sealing)).rejects.toThrow(
    'metadata.name: 4096 trainings with spec.privacy were made under this name',
  );
  expect(existsSync(output)).toBe(false);
});

it.each([
  ['damaged', 'not JSON'],
  ['of another shape', '{"identity": 1}'],
  ['empty', ''],
])('a word of what was made that is %s is not taken for none, and not written over', async (_, text) => {
  const once = { ...work, isOnce: true };
  await seal(place, once, sealing);
  const file = join(own, 'made.json');
  writeFileSync(file, text);
  const damaged = `spec.work.uri: ${file} is damaged`;
  for (const each of [work, once]) await expect(doneOrFree(place, each)).rejects.toThrow(damaged);
  rmSync(output, { recursive: true });
  for (const each of [work, once]) await expect(seal(place, each, sealing)).rejects.toThrow(damaged);
  expect(existsSync(output)).toBe(false);
  expect(readFileSync(file, 'utf8')).toBe(text);
});

it('the word comes from its store, and goes there before the artifact takes its place', async () => {
  const calls: string[] = [];
  const keeper: Keeper = {
    ...inPlace,
    async pull(path) {
      calls.push(`pull ${path.slice(own.length)}`);
    },
    async push(path) {
      calls.push(`push ${path.slice(own.length)} ${readFileSync(path, 'utf8')} ${existsSync(output)}`);
    },
    async held() {
      calls.push('held');
    },
    async claim(digest) {
      calls.push(`claim ${digest} ${existsSync(output)}`);
    },
  };
  const { digest } = await seal({ ...place, keeper }, work, sealing);
  const said = JSON.stringify({ identity: identityOf(work), digest, once: [] });
  expect(calls.splice(0)).toEqual([
    'held',
    'pull /made.json',
    `push /made.json ${said} false`,
    `claim ${digest} false`,
  ]);
  expect((await doneOrFree({ ...place, keeper }, work))?.digest).toBe(digest);
  // The artifact itself comes from its store last, and only where its manifest is the one that was made.
  expect(calls.splice(0)).toEqual(['pull /made.json', 'pull ']);
  await lay('other bytes');
  expect(await doneOrFree({ ...place, mayReplace: true, keeper }, work)).toBeUndefined();
  expect(calls).toEqual(['pull /made.json']);
});

it.each<[string, Partial<Work>]>([
  ['of another kind', { kind: 'Model' }],
  ['made from other things', { madeFrom: { emulator: 'sha256:e' } }],
  ['made in another way', { hyperparameters: { ...work.hyperparameters, steps: 4 } }],
  ['with a setting more', { hyperparameters: { ...work.hyperparameters, seed: 1 } }],
])('is not done where the artifact is %s, which is replaced only where it may be', async (_, other) => {
  const { digest } = await seal(place, { ...work, ...other }, sealing);
  expect(await doneOrFree({ ...place, mayReplace: true }, work)).toBeUndefined();
  const refusal = `spec.output.uri: ${output} holds an artifact of kind ${other.kind ?? 'Adapter'} (${digest}) that is not what this resource makes`;
  await expect(doneOrFree(place, work)).rejects.toThrow(refusal);
  expect(() => checkFree(place, work)).toThrow(refusal);
  expect(() => checkFree(place, { ...work, ...other })).not.toThrow();
});

const stopping = () => Promise.reject(new Error('stopped'));

it.each<[string, Partial<Sealing>, Partial<Keeper>]>([
  ['writing it fails', { fill: stopping }, {}],
  [
    'what it was made from was changed',
    {
      checkUnchanged() {
        throw new Error('stopped');
      },
    },
    {},
  ],
  ['the output is no longer ours', {}, { held: stopping }],
  ['the word of it does not get to its store', {}, { push: stopping }],
  ['the output is lost at the end', {}, { claim: stopping }],
])(
  'leaves no artifact where %s, and what lay there before; the next try ends the same',
  async (_, wrong, lost) => {
    const reference = digestOf('bytes');
    const broken = { output, own, keeper: { ...inPlace, ...lost } };
    await expect(seal(broken, work, { ...sealing, ...wrong })).rejects.toThrow('stopped');
    expect(existsSync(output)).toBe(false);
    expect(await doneOrFree(place, work)).toBeUndefined();
    const { digest } = await seal({ output, own }, { ...work, madeFrom: {} }, sealing);
    await expect(seal(broken, work, { ...sealing, ...wrong })).rejects.toThrow('stopped');
    expect(openArtifact(output).digest).toBe(digest);
    expect(await doneOrFree({ output, own }, work)).toBeUndefined();
    expect((await seal({ output, own }, work, sealing)).digest).toBe(reference);
    expect((await doneOrFree(place, work))?.digest).toBe(reference);
  },
);

/** The digest of the work's artifact with these bytes. */
function digestOf(bytes: string): string {
  const directory = mkdtempSync(join(root, 'reference-'));
  const scores = filling(bytes)(new WrittenFiles(directory));
  return sealArtifact(directory, { ...work, scores }).digest;
}

it('has the identity by which earlier versions kept what is unfinished', () => {
  expect(identityOf({ madeFrom: { a: 'b' }, hyperparameters: { c: 1 } })).toBe(
    'sha256:fea2b377fa80bf2a6bdc12ceefb0210cf83b28fcd64d6d3c1eeda36d841f239f',
  );
});
