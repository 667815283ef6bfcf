import fs, {
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
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  clearBeside,
  liesBeside,
  realPlace,
  refuseUnknown,
  sealArtifact,
  writeArtifact,
  writeNewDirectory,
  writeSharedArtifact,
} from '../../../../src/artifact/index.ts';

let directory: string;
let output: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-replace-'));
  output = join(directory, 'deep/out');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const fill = (text: string) => (temporary: string) => {
  writeFileSync(join(temporary, 'file'), text);
  sealArtifact(temporary, { kind: 'Adapter', madeFrom: {}, hyperparameters: {} });
};
const beside = () => readdirSync(join(directory, 'deep')).sort();
const content = () => readFileSync(join(output, 'file'), 'utf8');

/** From now on these are what the file system's functions do, also where modules share them. */
function calling(functions: Partial<typeof fs>): void {
  Object.assign(fs, functions);
  syncBuiltinESMExports();
}

function put(path: string, text = 'years of work'): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
}

test('an earlier artifact is replaced, and nothing beside it that is not ours is touched', async () => {
  await writeArtifact(output, fill('one'));
  for (const name of ['out.partial/thesis', 'out.previous/thesis', '.out.offsite-0123456789abcdef/thesis'])
    put(join(directory, 'deep', name));
  put(join(directory, 'deep/.out.offsite-thesis/offsite-tuning.json'));
  await writeArtifact(output, fill('two'));
  expect(content()).toBe('two');
  expect(beside()).toEqual([
    '.out.offsite-0123456789abcdef',
    '.out.offsite-thesis',
    'out',
    'out.partial',
    'out.previous',
  ]);
  expect(readFileSync(join(directory, 'deep/out.previous/thesis'), 'utf8')).toBe('years of work');
});

/** What a process has left that was killed at some moment of writeArtifact. */
function killed(...entries: ('offsite-tuning.json' | 'partial/file' | 'previous')[]): void {
  const container = join(directory, 'deep/.out.offsite-00112233445566ff');
  mkdirSync(container, { recursive: true });
  for (const entry of entries)
    if (entry === 'previous') renameSync(output, join(container, entry));
    else put(join(container, entry));
}

test.each([
  ['before its mark', [], 'one'],
  ['while it was filled', ['offsite-tuning.json', 'partial/file'], 'one'],
  ['while the earlier artifact was aside', ['offsite-tuning.json', 'partial/file', 'previous'], 'one'],
] as const)('killed %s: it is cleared, and the earlier artifact is there', async (_, entries, left) => {
  await writeArtifact(output, fill('one'));
  killed(...entries);
  clearBeside(output);
  expect(content()).toBe(left);
  expect(beside()).toEqual(['out']);
});

test.each([
  ['partial', 'a file'],
  ['partial', 'a directory'],
  ['previous', 'nothing'],
] as const)(
  'a link %s that somebody laid in such a place, beside %s, leads to nothing that is cleared',
  async (link, beside) => {
    await writeArtifact(output, fill('one'));
    put(join(directory, 'victim/rows'));
    killed('offsite-tuning.json');
    const container = join(directory, 'deep/.out.offsite-00112233445566ff');
    symlinkSync(join(directory, 'victim'), join(container, link));
    if (beside === 'a file') put(join(container, 'previous'));
    if (beside === 'a directory') mkdirSync(join(container, 'previous'));
    clearBeside(output, { surely: true });
    await writeArtifact(output, fill('two'));
    expect(readdirSync(join(directory, 'victim'))).toEqual(['rows']);
    expect(content()).toBe('two');
  },
);

test('a link that somebody laid as the mark in such a place leads to nothing that is written', async () => {
  await writeArtifact(output, fill('one'));
  put(join(directory, 'victim/rows'), '{"rows": 1}');
  killed('partial/file');
  const container = join(directory, 'deep/.out.offsite-00112233445566ff');
  mkdirSync(join(container, 'previous'));
  symlinkSync(join(directory, 'victim/rows'), join(container, 'offsite-tuning.json'));
  clearBeside(output, { surely: true });
  expect(readFileSync(join(directory, 'victim/rows'), 'utf8')).toBe('{"rows": 1}');
});

test('a file that comes into such a place while it is used stays, and nothing fails', async () => {
  let container = '';
  await writeArtifact(output, (temporary) => {
    fill('one')(temporary);
    container = join(temporary, '..');
    put(join(container, 'thesis.tex'));
  });
  expect(content()).toBe('one');
  clearBeside(output);
  expect(readdirSync(container)).toEqual(['thesis.tex']);
});

test('killed while the earlier artifact was aside, with an empty directory come to its name: it is there again', async () => {
  await writeArtifact(output, fill('one'));
  killed('offsite-tuning.json', 'partial/file', 'previous');
  mkdirSync(output);
  clearBeside(output);
  expect(content()).toBe('one');
  expect(beside()).toEqual(['out']);
});

test.each([
  ['', ", Unknown error: Device or resource busy '/out'"],
  ['ENOTEMPTY', "ENOTEMPTY, Directory not empty '/out'"],
])(
  'an earlier artifact that a process has open over NFS (code "%s") is replaced, and cleared when it is closed',
  async (code, words) => {
    await writeArtifact(output, fill('one'));
    const remove = fs.rmSync;
    const removing = (use: typeof remove) => calling({ rmSync: use });
    // As its client does: what is open has another name, and the directory stays.
    removing((path, options) => {
      if (String(path).endsWith('replaced') && existsSync(path))
        throw Object.assign(new Error(words), { code, path });
      remove(path, options);
    });
    try {
      await writeArtifact(output, fill('two'));
      expect(content()).toBe('two');
      const [container] = beside();
      // As of a process that is gone: the next run meets it.
      put(join(directory, 'deep', container!, 'offsite-tuning.json'), '{}');
      clearBeside(output, { surely: true });
      expect(content()).toBe('two');
      // Whoever takes the later one away has not asked for the earlier one.
      rmSync(output, { recursive: true });
      clearBeside(output, { surely: true });
      expect(beside()).toEqual([container]);
    } finally {
      removing(remove);
    }
    await writeArtifact(output, fill('three'));
    expect(content()).toBe('three');
    expect(beside()).toEqual(['out']);
  },
);

test('what came to the name meanwhile takes no earlier artifact away: it stays aside, and is told and found again', async () => {
  await writeArtifact(output, fill('one'));
  // Between the two renames, as another user's process may do it.
  const rename = fs.renameSync;
  const renaming = (use: typeof rename) => calling({ renameSync: use });
  renaming((from, to) => {
    rename(from, to);
    if (!String(to).endsWith('previous')) return;
    renaming(rename);
    put(join(output, 'thesis.tex'));
  });
  const failure = await writeArtifact(output, fill('two')).catch(String);
  expect(failure).toMatch(
    /something came to .*out while what lay there was aside; that lies in .*previous now/,
  );
  expect(readdirSync(output)).toEqual(['thesis.tex']);
  clearBeside(output);
  const [container] = beside().filter((name) => name !== 'out');
  const aside = () => readFileSync(join(directory, 'deep', container!, 'previous/file'), 'utf8');
  expect(aside()).toBe('one');
  // Cut off in the middle of its clearing, too.
  rmSync(join(directory, 'deep', container!, 'partial'), { recursive: true });
  clearBeside(output);
  expect(aside()).toBe('one');
  rmSync(output, { recursive: true });
  clearBeside(output);
  expect(content()).toBe('one');
});

test('what a living process makes there is not cleared, also by who takes no lock', async () => {
  const other = fill('other');
  await writeArtifact(output, async (temporary) => {
    await writeArtifact(output, other);
    clearBeside(output);
    fill('one')(temporary);
  });
  expect(content()).toBe('one');
  expect(beside()).toEqual(['out']);
});

test('what came there is looked at when it is aside, where nobody exchanges it, and comes back where it may not go', async () => {
  const lay = async () => {
    mkdirSync(output, { recursive: true });
    fill('theirs')(output);
  };
  const mayGo = (previous: string) => {
    if (existsSync(previous)) throw new Error('is theirs');
  };
  await expect(writeArtifact(output, fill('one'), { ready: lay, mayGo })).rejects.toThrow('is theirs');
  expect(content()).toBe('theirs');
  expect(beside()).toEqual(['out']);
});

test('what is made where nothing is takes the place of nothing that comes there meanwhile', async () => {
  const lay = (temporary: string) => {
    fill('mine')(temporary);
    mkdirSync(output);
    fill('theirs')(output);
  };
  await expect(writeNewDirectory(output, '--output', lay)).rejects.toThrow(
    `--output: something came to ${output} while an artifact was made for that place; it stays as it is`,
  );
  expect(content()).toBe('theirs');
  await expect(writeNewDirectory(output, '--output', fill('mine'))).rejects.toThrow('is there already');
  rmSync(output, { recursive: true });
  await writeNewDirectory(output, '--output', fill('mine'));
  expect(content()).toBe('mine');
  expect(beside()).toEqual(['out']);
});

test('what is made without a lock on another machine is not cleared by who holds it; with one it is', async () => {
  const mark = () => {
    const [container] = beside();
    return join(directory, 'deep', container!, 'offsite-tuning.json');
  };
  const elsewhere = () =>
    writeFileSync(mark(), readFileSync(mark(), 'utf8').replace(/"machine":"/, '$&elsewhere '));
  await writeNewDirectory(output, '--output', (temporary) => {
    elsewhere();
    clearBeside(output);
    fill('mine')(temporary);
  });
  expect(content()).toBe('mine');
  rmSync(output, { recursive: true });
  const cleared = writeArtifact(output, (temporary) => {
    elsewhere();
    clearBeside(output);
    fill('mine')(temporary);
  });
  await expect(cleared).rejects.toThrow('ENOENT');
});

test('what fails, or may not go there any more, leaves what was there', async () => {
  await writeArtifact(output, fill('one'));
  const fails = (temporary: string) => {
    writeFileSync(join(temporary, 'file'), 'half');
    throw new Error('stop');
  };
  await expect(writeArtifact(output, fails)).rejects.toThrow('stop');
  const lost = async () => {
    throw new Error('taken over');
  };
  await expect(writeArtifact(output, fill('two'), { ready: lost })).rejects.toThrow('taken over');
  expect(content()).toBe('one');
  expect(beside()).toEqual(['out']);
});

test("a user's file is never lost: in what is no artifact, among an artifact's files, or come while it was made", async () => {
  put(join(output, 'thesis.tex'));
  await expect(writeArtifact(output, fill('one'))).rejects.toThrow(
    /holds "thesis\.tex" and is no artifact; it would be replaced/,
  );
  rmSync(output, { recursive: true });
  await writeArtifact(output, fill('one'));
  put(join(output, 'notes/my\nnotes'));
  await expect(writeArtifact(output, fill('two'))).rejects.toThrow(
    /holds "notes\/my\\nnotes" beside the artifact's own files, which would be lost with it/,
  );
  rmSync(join(output, 'notes'), { recursive: true });
  const meanwhile = async () => put(join(output, 'thesis.tex'));
  await expect(writeArtifact(output, fill('two'), { ready: meanwhile })).rejects.toThrow(
    /holds "thesis\.tex"/,
  );
  expect(readdirSync(output).sort()).toEqual(['file', 'manifest.json', 'thesis.tex']);
  expect(beside()).toEqual(['out']);
});

test('through a symbolic link the place that it leads to is written; one that leads nowhere is refused', async () => {
  mkdirSync(join(directory, 'disk'));
  mkdirSync(join(directory, 'deep'));
  symlinkSync(join(directory, 'disk'), output);
  await writeArtifact(output, fill('one'));
  await writeArtifact(output, fill('two'));
  expect(readFileSync(join(directory, 'disk/file'), 'utf8')).toBe('two');
  expect(beside()).toEqual(['out']);
  rmSync(join(directory, 'disk'), { recursive: true });
  await expect(writeArtifact(output, fill('three'))).rejects.toThrow(
    /out is a symbolic link that leads nowhere/,
  );
  expect(() => realPlace(join(output, '../file/x/y'), 'spec.output.uri')).not.toThrow();
  put(join(directory, 'deep/file'));
  expect(() => realPlace(join(directory, 'deep/file/x/y'), 'spec.output.uri')).toThrow(
    /^spec\.output\.uri: .* lies below a file/,
  );
});

test('an artifact of whose making nothing is known is refused unless it may be replaced', async () => {
  expect(() => refuseUnknown(output, false)).not.toThrow();
  await writeArtifact(output, fill('one'));
  expect(() => refuseUnknown(output, true)).not.toThrow();
  expect(() => refuseUnknown(output, false)).toThrow(
    /holds an artifact of kind Adapter \(sha256:[0-9a-f]{64}\) that is not what this resource makes.*spec\.output\.replace: true/,
  );
});

test('names that are kept for what lies beside an output', () => {
  for (const name of ['.out.offsite-0011223344556677/partial/x', '.out.offsite-lock', 'out.result.json'])
    expect(liesBeside(output, join(directory, 'deep', name)), name).toBe(true);
  for (const name of ['out2', 'out.partial', '.out'])
    expect(liesBeside(output, join(directory, 'deep', name)), name).toBe(false);
});

test('a name of 250 bytes has room for what lies beside it', async () => {
  output = join(directory, 'deep', 'n'.repeat(250));
  await writeArtifact(output, fill('one'));
  expect(existsSync(join(output, 'manifest.json'))).toBe(true);
});

test('of two that make the same at once both go on; what a killed one left is cleared', async () => {
  killed('offsite-tuning.json', 'partial/file');
  await Promise.all([writeSharedArtifact(output, fill('same')), writeSharedArtifact(output, fill('same'))]);
  expect(content()).toBe('same');
  expect(beside()).toEqual(['out']);
});
