import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Namespace } from '../support/processes/pod.ts';
import { tinyManifests, writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

/** As OpenShift runs a pod that states no user: one out of the namespace's range, that no file knows, in its own group. */
const uid = 1_000_680_000;
const asRoot = process.getuid?.() === 0;
let namespace: Namespace;

beforeEach(() => {
  namespace = new Namespace();
  writeTinyModel(join(namespace.claim('team'), 'model'));
  writeTinyData(join(namespace.claim('team'), 'data'));
  // What fsGroup does to a volume.
  if (asRoot) share(namespace.directory);
});
afterEach(() => namespace.remove());

function share(path: string): void {
  chownSync(path, 0, uid);
  const isDirectory = lstatSync(path).isDirectory();
  chmodSync(path, isDirectory ? 0o2770 : 0o660);
  if (isDirectory) for (const name of readdirSync(path)) share(join(path, name));
}

test.runIf(asRoot)('a stage computes and writes as a user that the image does not know', async () => {
  const { build } = tinyManifests((place) => `pvc://team/${place}`);
  const metadata = { ...build.metadata, namespace: 'models', uid: 'uid', generation: 1 };
  const ids = ['--reuid', '--regid'].flatMap((flag) => [flag, String(uid)]);
  const own = join(namespace.directory, 'own');
  mkdirSync(own);
  share(own);
  const environment = { HOME: own, OFFSITE_SCRATCH: own, OFFSITE_TERMINATION_LOG: join(own, 'log') };
  for (const stage of ['probe', 'assemble']) {
    const { code, text } = await namespace.run(
      { stage, resource: { ...build, metadata } },
      { environment, through: ['setpriv', ...ids, '--clear-groups'] },
    );
    expect(code, text).toBe(0);
  }
  const output = join(namespace.claim('team'), 'out/emulator');
  expect(readdirSync(output)).toContain('manifest.json');
  expect(lstatSync(join(output, 'manifest.json'))).toMatchObject({ uid, gid: uid });
});
