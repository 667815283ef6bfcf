import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { StageEvent } from '../../../src/progress/index.ts';
import { restoreState, saveState, type TrainingState } from '../../../src/training/state.ts';
import { unanswered } from '../../support/faults/unanswered-disk.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function stateAt(step: number): TrainingState {
  const values = (offset: number) => Float32Array.of(step + offset, -offset / 3);
  return {
    record: {
      ...{ step, cursor: { epoch: 1, index: step }, tokens: 10 * step, resumes: 0, losses: [1 / 3, 0.1] },
      // A single validation row has no standard error.
      ...{ evaluations: [{ step: 0, loss: 0.7, cell: { value: 1, stderr: Number.NaN } }], bestStep: step },
    },
    tensors: [
      { name: 'a', shape: [2], values: values(1), first: values(2), second: values(3), best: values(4) },
    ],
  };
}

function restored(identity: string): { state: TrainingState; found: boolean; warnings: string[] } {
  const state = stateAt(0);
  const events: StageEvent[] = [];
  const found = restoreState(directory, identity, state, (event) => events.push(event));
  const warnings = events.map((event) =>
    event.type === 'warning' ? `${event.reason}: ${event.message}` : event.type,
  );
  return { state, found, warnings };
}

const saved = () => readdirSync(directory).sort();

test('what is saved comes back exactly, also what JSON has no number for', () => {
  saveState(directory, 'mine', stateAt(7));
  expect(restored('mine')).toEqual({ state: stateAt(7), found: true, warnings: [] });
});

test('a checkpoint of other tensors, as another version may have written it, leaves all as it was', () => {
  saveState(directory, 'mine', stateAt(7));
  const more = stateAt(0);
  more.tensors.push({ ...stateAt(0).tensors[0]!, name: 'b' });
  const before = structuredClone(more);
  expect(restoreState(directory, 'mine', more, () => {})).toBe(false);
  expect(more).toEqual(before);
});

test('the last two stay; those of other work are never resumed and make room', () => {
  saveState(directory, 'other', stateAt(90));
  expect(restored('mine')).toEqual({ state: stateAt(0), found: false, warnings: [] });
  for (const step of [2, 4, 6]) saveState(directory, 'mine', stateAt(step));
  expect(saved()).toEqual(['step-00000004', 'step-00000006']);
  expect(restored('mine').state.record.step).toBe(6);
});

test('what a killed process left of one is cleared, and never taken for one', () => {
  saveState(directory, 'mine', stateAt(2));
  mkdirSync(join(directory, 'step-00000004.partial'));
  writeFileSync(join(directory, 'step-00000004.partial/state.safetensors.tmp'), 'half');
  expect(restored('mine').state.record.step).toBe(2);
  saveState(directory, 'mine', stateAt(6));
  expect(saved()).toEqual(['step-00000002', 'step-00000006']);
});

test('a checkpoint of which any byte is another is passed over for the one before it', () => {
  for (const step of [2, 4]) saveState(directory, 'mine', stateAt(step));
  const files = ['state.json', 'state.safetensors'].map((name) => join(directory, 'step-00000004', name));
  fc.assert(
    fc.property(fc.constantFrom(...files), fc.nat(), fc.integer({ min: 1, max: 255 }), (file, at, flip) => {
      const whole = readFileSync(file);
      const damaged = Buffer.from(whole);
      damaged[at % damaged.length]! ^= flip;
      writeFileSync(file, damaged);
      const { state, warnings } = restored('mine');
      writeFileSync(file, whole);
      expect(state).toEqual(stateAt(2));
      expect(warnings).toEqual([
        expect.stringMatching(/^CheckpointDamaged: checkpoint .*step-00000004 is damaged/),
      ]);
    }),
    { numRuns: 60 },
  );
});

test('one whose state.json is a named pipe or a device is passed over, and not waited for', () => {
  for (const step of [2, 4]) saveState(directory, 'mine', stateAt(step));
  const file = join(directory, 'step-00000004/state.json');
  for (const put of [() => execFileSync('mkfifo', [file]), () => symlinkSync('/dev/zero', file)]) {
    rmSync(file);
    put();
    const { state, warnings } = restored('mine');
    expect(state).toEqual(stateAt(2));
    expect(warnings).toEqual([expect.stringContaining('step-00000004 is damaged (is no file)')]);
  }
});

test('a truncated or missing file too; with none left, training starts anew', () => {
  for (const step of [2, 4]) saveState(directory, 'mine', stateAt(step));
  truncateSync(join(directory, 'step-00000004/state.safetensors'), 20);
  expect(restored('mine').state.record.step).toBe(2);
  rmSync(join(directory, 'step-00000002/state.json'));
  const { found, state, warnings } = restored('mine');
  expect({ found, step: state.record.step, count: warnings.length }).toEqual({
    found: false,
    step: 0,
    count: 2,
  });
});

test.each(['state.json', 'state.safetensors'])(
  'a disk that does not answer of %s is no damage: nothing is begun anew',
  (name) => {
    saveState(directory, 'mine', stateAt(7));
    unanswered(name, 'EIO', () => expect(() => restored('mine')).toThrow(/^EIO/));
    expect(restored('mine')).toEqual({ state: stateAt(7), found: true, warnings: [] });
  },
);
