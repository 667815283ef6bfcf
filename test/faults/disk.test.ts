// A full disk: the run ends with NoSpace, leaves nothing half-written, and after space was freed the same command goes on to
// the same digests. Once by failing single writes, once on a real file system of too few blocks.
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callsOf, Project } from '../support/faults/project.ts';
import { drawFor, faultRuns } from '../support/faults/seed.ts';
import { savedStatus } from '../support/offsite/index.ts';
import { setField, type TinyManifests, writeTinyProject } from '../support/tiny/index.ts';

const project = new Project();
let reference: ReturnType<Project['digests']>;
/** Of each file that is written: the numbers of the calls that write it. */
let writes: Map<string, number[]>;
let manifests: TinyManifests;
/** What lies in the end where all of a run is written, in kB of a file system by pages: no smaller one can do. */
let needed: number;

beforeAll(async () => {
  // The work too, so that all that a run writes of any size is on one file system.
  manifests = writeTinyProject(project.directory, {
    change: (all) => {
      for (const manifest of Object.values(all)) setField(manifest, 'spec.work', { uri: 'file:out/work' });
    },
  });
  const whole = await project.run(project.broken({}));
  expect(whole.code, whole.stderr).toBe(0);
  reference = project.digests();
  const out = project.path('out');
  const files = readdirSync(out, { recursive: true }).map((name) => statSync(join(out, String(name))));
  needed = files.reduce((sum, { size }) => sum + 4 * Math.ceil(size / 4096), 0);
  writes = new Map();
  for (const [i, call] of callsOf(project).entries()) {
    const [name, path = ''] = call.split(' ');
    if (name === 'writeSync' || name === 'writeFileSync' || name === 'mkdirSync')
      writes.set(path, [...(writes.get(path) ?? []), i + 1]);
  }
});
afterAll(() => project.remove());

async function expectSameEnd(): Promise<void> {
  const last = await project.run();
  expect(last.code, last.stderr).toBe(0);
  expect(project.digests()).toEqual(reference);
  expect(project.leftovers()).toEqual([]);
}

test('a write that finds no space, anywhere', async () => {
  const random = drawFor('full disk');
  const places = [...writes.keys()].filter((path) => path.startsWith('out/'));
  const made = (name: string) => new RegExp(`\\.${name}\\.offsite-[0-9a-f]+/partial/`);
  for (const part of [/\.shards\//, /checkpoints\//, made('emulator'), made('adapter'), made('model')])
    expect(
      places.some((path) => part.test(path)),
      String(part),
    ).toBe(true);
  for (const path of random.shuffle(places).slice(0, 4 * faultRuns)) {
    project.forget();
    const calls = writes.get(path)!;
    const at = calls[random.below(calls.length)]!;
    const ended = await project.run(project.broken({ at, action: 'ENOSPC' }));
    console.log(`  no space for ${path}`);
    expect({ code: ended.code, signal: ended.signal }, path).toEqual({ code: 1, signal: null });
    const failed = failures();
    expect(failed.length, path).toBe(1);
    expect(failed[0]).toMatchObject({ reason: 'NoSpace' });
    expect(failed[0]!.message).toMatch(
      /writing file:out\/\w+ or file:out\/work \(spec\.work\): the disk is full: ENOSPC.*; free space there, then run again/,
    );
    // Finished shards are work that is kept.
    expect(
      project.leftovers().filter((name) => !name.endsWith('.shards')),
      path,
    ).toEqual([]);
    await expectSameEnd();
  }
});

test('no space for the work directory', async () => {
  project.forget();
  const [, calls] = [...writes].find(([path]) => path.startsWith('work/offsitetune/tiny/.offsite-tmp-'))!;
  const ended = await project.run(project.broken({ at: calls[0]!, action: 'ENOSPC' }));
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(
    /the disk is full: ENOSPC.*work\/offsitetune\/tiny\/resource\.yaml\); free space there/,
  );
  await expectSameEnd();
});

// tmpfs in a mount namespace of its own: it is gone with the process, whatever happens.
const script = `
set -u
out=$0; size=$1; shift
mount -t tmpfs -o size=$size tmpfs "$out" || exit 99
"$@"; echo "first $?"
find "$out" -name '*.partial' -o -name '*.tmp' -o -name '.*.offsite-*'
mount -o remount,size=64m "$out"
"$@" > /dev/null; echo "second $?"
cd "$out" && sha256sum emulator/manifest.json adapter/manifest.json model/manifest.json
`;
const namespace = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '--map-root-user', '-m'];
const shares = [0.01, 0.1, 0.5, 0.8, 0.97];

test.each(faultRuns > 1 ? shares : shares.slice(1, 3))(
  'a file system of %d of what is needed',
  async (share) => {
    const size = `${Math.floor(share * needed)}k`;
    project.forget();
    mkdirSync(project.path('out'));
    const through = [...namespace, 'sh', '-c', script, project.path('out'), size];
    const { stdout, stderr } = await project.run({ through });
    expect(stdout, stderr).toMatch(
      /NoSpace: stage \w+ \(exit code 1\): writing file:out\/\w+ or file:out\/work \(spec\.work\): the disk is full: ENOSPC/,
    );
    const lines = stdout.trim().split('\n');
    expect(lines.slice(lines.indexOf('first 1')), stdout).toEqual([
      'first 1',
      'second 0',
      ...Object.entries(reference).map(
        ([name, digest]) => `${digest!.slice('sha256:'.length)}  ${name}/manifest.json`,
      ),
    ]);
  },
);

function failures() {
  const kinds = Object.values(manifests).map(({ kind }) => kind as string);
  return kinds.flatMap((kind) => {
    try {
      return savedStatus(project.path('work'), kind).conditions.filter(({ type }) => type === 'Failed');
    } catch {
      return [];
    }
  });
}
