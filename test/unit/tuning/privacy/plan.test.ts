import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { figuresOf, noiseKey, planPrivacy } from '../../../../src/tuning/privacy/index.ts';

const extent = { rows: 1000, batchSize: 10, steps: 50 };

describe('what a private training does', () => {
  it('is nothing without privacy, and with an epsilon of infinity', () => {
    expect(planPrivacy(undefined, extent)).toBeUndefined();
    expect(planPrivacy({ epsilon: 'infinity', clipNorm: '1.0' }, extent)).toBeUndefined();
  });

  it('follows from the noise, with a delta of a power of ten', () => {
    const plan = planPrivacy({ noiseMultiplier: '1.10', clipNorm: '0.50' }, extent)!;
    expect(plan).toMatchObject({
      noiseMultiplier: 1.1,
      clipNorm: 0.5,
      samplingRate: 0.01,
      expectedRows: 10,
      delta: 1e-4,
    });
    expect(figuresOf(plan)).toMatchObject({ delta: '0.0001', noiseMultiplier: '1.1', samplingRate: '0.01' });
    // Never less than there is.
    expect(Number(figuresOf(plan).epsilon)).toBeGreaterThanOrEqual(plan.epsilon);
  });

  it.each([
    [1, 0.1],
    [9, 0.01],
    [10, 0.01],
    [11, 0.001],
    [1_000_001, 1e-8],
  ])('delta of %d rows is %d when absent', (rows, delta) => {
    expect(planPrivacy({ noiseMultiplier: '2', clipNorm: '1' }, { ...extent, rows })!.delta).toBe(delta);
  });

  it('takes all rows where a step has more than there are', () => {
    const plan = planPrivacy({ noiseMultiplier: '2', clipNorm: '1' }, { ...extent, rows: 4 })!;
    expect(plan).toMatchObject({ samplingRate: 1, expectedRows: 4 });
  });

  it.each([
    [{ noiseMultiplier: '1', delta: '0.001' }, 'spec.privacy.delta: is not below 1 / rows'],
    [{ epsilon: '0.001' }, 'spec.privacy.epsilon: no noise is known to give it'],
  ])('%j is refused', (privacy, message) => {
    expect(() => planPrivacy({ clipNorm: '1', ...privacy }, extent)).toThrow(message);
  });
});

describe('the key', () => {
  const directory = mkdtempSync(join(tmpdir(), 'noise-key-'));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('is made by chance, once, and read by its owner alone; what is none is replaced', () => {
    const checkpoints = join(directory, 'a');
    const key = noiseKey(checkpoints);
    expect(key).toHaveLength(32);
    expect(noiseKey(checkpoints)).toEqual(key);
    const file = join(checkpoints, 'noise-key');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(noiseKey(join(directory, 'b'))).not.toEqual(key);
    writeFileSync(file, readFileSync(file, 'utf8').slice(1));
    expect(noiseKey(checkpoints)).not.toEqual(key);
  });

  it('is made where a named pipe lies in its place, and nobody waits for who writes into it', () => {
    const checkpoints = join(directory, 'a');
    mkdirSync(checkpoints, { recursive: true });
    execFileSync('mkfifo', [join(checkpoints, 'noise-key')]);
    const key = noiseKey(checkpoints);
    expect(noiseKey(checkpoints)).toEqual(key);
  });
});
