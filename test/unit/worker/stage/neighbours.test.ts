import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { parseResource } from '../../../../src/api/index.ts';
import { checkConfined } from '../../../../src/worker/stage/confined.ts';
import { tinyManifests } from '../../../support/tiny/index.ts';

/** Neighbours' directories that are cleared between the list that names them and the look at them. */
const cleared = vi.hoisted(() => new Set<string>());
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const readdirSync = ((path: string, options: { withFileTypes: true }) => {
    if (cleared.has(path)) fs.rmSync(path, { recursive: true });
    return fs.readdirSync(path, options);
  }) as typeof fs.readdirSync;
  return { ...fs, readdirSync };
});

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-neighbours-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

it.each(['pooled-states/a.shards', 'pooled-states/.a.offsite-b', 'pooled-states'])(
  'what a neighbour clears in a work place that is shared (%s) stops nobody',
  (place) => {
    mkdirSync(join(root, 'model'));
    mkdirSync(join(root, 'work', place), { recursive: true });
    writeFileSync(join(root, 'probe.jsonl'), '{}');
    cleared.add(join(root, 'work', place));
    const { build } = tinyManifests();
    Object.assign(build.spec, {
      model: { uri: 'pvc://claim/model' },
      output: { uri: 'pvc://claim/out' },
      work: { uri: 'pvc://claim/work' },
    });
    (build.spec['probe'] as { data: object }).data = { uri: 'pvc://claim/probe.jsonl', format: 'text' };
    const mounts = { claims: { claim: root }, confined: true, base: '/' };
    const resource = parseResource(build, 'test');
    expect(checkConfined({ stage: 'probe', resource, inputs: {}, mounts })).toBeUndefined();
  },
);
