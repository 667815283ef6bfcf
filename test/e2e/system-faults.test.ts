// What the machine itself refuses a run: each ends with the field, what is wrong and what is right, and is not tried again.
import { chmodSync, chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { workDirectory } from '../support/golden/smollm2.ts';
import { failureOf, offsite } from '../support/offsite/index.ts';
import { setField, writeTinyProject } from '../support/tiny/index.ts';

let work: ReturnType<typeof workDirectory>;
const at = (...parts: string[]) => join(work.path, ...parts);
beforeEach(() => {
  work = workDirectory();
});
afterEach(() => work.remove());

const run = (...through: string[]) =>
  offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('run')], { through });

/** Runs a shell's words first, then the program after it. */
const after = (words: string) => ['sh', '-c', `${words}; exec "$@"`, 'sh'];

test('an output on a file system that can only be read', async () => {
  writeTinyProject(work.path);
  mkdirSync(at('out'));
  const mount = after(`mount -t tmpfs -o ro none '${at('out')}'`);
  const { code } = await run('unshare', '--map-root-user', '--mount', ...mount);
  expect(code).toBe(1);
  expect(failureOf(at('run'), 'EmulatorBuild', 'tiny')).toMatchObject({
    reason: 'AccessDenied',
    message: expect.stringMatching(
      /^stage probe \(exit code 10\): spec\.output\.uri: the file system can only be read: EROFS: .*; let it be written to, or choose another place$/,
    ),
  });
});

test('an earlier artifact that cannot go yet, as over NFS where a process has it open, stops no run', async () => {
  const withSamples = (samples: number) =>
    writeTinyProject(work.path, {
      change: ({ build, tune, plug }) => {
        setField(build, 'spec.probe.samples', samples);
        for (const later of [tune, plug]) setField(later, 'spec.suspend', true);
      },
    });
  const left = at('out', '.emulator.offsite-0123456789abcdef');
  mkdirSync(join(left, 'replaced'), { recursive: true });
  writeFileSync(join(left, 'offsite-tuning.json'), '{}');
  // What is mounted cannot go either: EBUSY.
  const mount = after(`mount -t tmpfs none '${join(left, 'replaced')}'`);
  for (const samples of [4, 5]) {
    withSamples(samples);
    const { stderr } = await run('unshare', '--map-root-user', '--mount', ...mount);
    expect(stderr).toContain('EmulatorBuild tiny  Complete');
    expect(existsSync(left)).toBe(true);
  }
  withSamples(6);
  expect((await run()).stderr).toContain('EmulatorBuild tiny  Complete');
  expect(existsSync(left)).toBe(false);
});

test('a full disk of the work place: both places are named, since the system does not say which it is', async () => {
  writeTinyProject(work.path, {
    change: ({ build }) => setField(build, 'spec.work', { uri: 'file:kept' }),
  });
  mkdirSync(at('kept'));
  const mount = after(`mount -t tmpfs -o size=8k none '${at('kept')}'`);
  const { code } = await run('unshare', '--map-root-user', '--mount', ...mount);
  expect(code).toBe(1);
  expect(failureOf(at('run'), 'EmulatorBuild', 'tiny')).toMatchObject({
    reason: 'NoSpace',
    message: expect.stringMatching(
      /^stage probe \(exit code 1\): writing file:out\/emulator or file:kept \(spec\.work\): the disk is full: ENOSPC/,
    ),
  });
});

test.skipIf(process.getuid?.() !== 0)('an output and a model that are another user’s', async () => {
  writeTinyProject(work.path, {
    change: ({ tune, plug }) => {
      setField(tune, 'spec.suspend', true);
      setField(plug, 'spec.suspend', true);
    },
  });
  const nobody = 65532;
  for (const path of ['', 'run']) mkdirSync(at(path), { recursive: true });
  chownSync(at('run'), nobody, nobody);
  mkdirSync(at('out'));
  chmodSync(work.path, 0o755);
  const asNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];
  const denied = async (field: string) => {
    const { code, stderr } = await run(...asNobody);
    expect(code, stderr).toBe(1);
    expect(failureOf(at('run'), 'EmulatorBuild', 'tiny')).toMatchObject({
      reason: 'AccessDenied',
      message: expect.stringMatching(
        new RegExp(
          `^stage probe \\(exit code 10\\): ${field}: this process may not: EACCES: .*; give the user or the group that it runs as the right to$`,
        ),
      ),
    });
  };
  await denied('spec.output.uri');
  chownSync(at('out'), nobody, nobody);
  chmodSync(at('model/model.safetensors'), 0o600);
  await denied('spec.model.uri');
});

test('too few files that may be open', async () => {
  writeTinyProject(work.path);
  const { code, stderr } = await run(...after('ulimit -n 28'));
  expect(code, stderr).toBe(1);
  expect(failureOf(at('run'), 'EmulatorBuild', 'tiny')).toMatchObject({
    reason: 'EngineUnavailable',
    message: expect.stringMatching(/this process may not open as many files as it needs.*\(ulimit -n\)/),
  });
});
