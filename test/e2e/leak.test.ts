import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AssembleInput, assemble } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { workDirectory } from '../support/golden/smollm2.ts';
import { writeTinyData, writeTinyModel } from '../support/tiny/index.ts';

const work = workDirectory();
const at = (...parts: string[]) => join(work.path, ...parts);
let engine: Engine;

beforeAll(async () => {
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
  writeTinyModel(at('model'));
  writeTinyData(at('data'));
});
afterAll(async () => {
  await engine.dispose();
  work.remove();
});

const built = (name: string, layers: number, change: Partial<AssembleInput> = {}) =>
  assemble(engine, {
    model: at('model'),
    data: { path: at('data', 'probe.jsonl'), format: 'text' },
    probe: { samples: 16, maxLength: 64, pooling: 'mean', skipFirst: false, shards: 1 },
    similarity: { metric: 'linearCKA' },
    plan: { strategy: 'crash', layers, sharing: 'nearest', transferLayers: { count: 2 } },
    limit: 8,
    leak: true,
    output: at('out', name),
    work: at('work'),
    own: at('own', name),
    memory: 2 ** 28,
    emit: () => {},
    ...change,
  });
const manifestOf = (name: string) =>
  JSON.parse(readFileSync(at('out', name, 'manifest.json'), 'utf8')) as {
    hyperparameters: { evaluation: object };
    scores: Record<string, object>;
  };

test('a bundle of every layer gives all away; one of some layers less', async () => {
  const whole = await built('whole', 5);
  expect(whole.leak).toMatchObject({
    greedyAgreement: { value: 1, stderr: 0, low: 1, high: 1 },
    subspaceShare: { matrices: 1, layers: 1 },
  });
  const { leak } = await built('part', 2);
  expect(leak?.subspaceShare.layers).toBeCloseTo(2 / 5, 12);
  expect(leak?.subspaceShare.matrices).toBeLessThan(1);
  expect(leak?.greedyAgreement?.value).toBeLessThan(1);
  expect(leak?.control?.value).toBeGreaterThan(1);
});

test('the leak is what the scores of a build without it lack, and nothing else is different', async () => {
  await built('before', 2, { leak: undefined });
  const [before, after] = [manifestOf('before'), manifestOf('part')];
  expect(before.hyperparameters.evaluation).toEqual({ limit: 8 });
  const { leak, ...scores } = after.scores;
  expect(scores).toEqual(before.scores);
  expect(Object.keys(leak!)).toEqual(expect.arrayContaining(['control', 'subspaceShare']));
});

test('a build again takes what the full model said; where that is damaged it is computed, and the digest is the same', async () => {
  const kept = readdirSync(at('work')).filter((name) => name.includes('.full-'));
  // with the tokens that it would choose, and without
  expect(kept).toHaveLength(2);
  const { artifact } = await built('part', 2);
  expect((await built('again', 2)).artifact.digest).toBe(artifact.digest);
  for (const name of kept) {
    const text = readFileSync(at('work', name), 'utf8');
    writeFileSync(at('work', name), text.replace(/"greedyTokens":"..../, '"greedyTokens":"'));
  }
  expect((await built('repaired', 2)).artifact.digest).toBe(artifact.digest);
});

test('without rows after the probe’s the shares of weights are told, and why no more', async () => {
  const { evaluation, leak } = await built('no-rows', 2, {
    probe: { samples: 24, maxLength: 64, pooling: 'mean', skipFirst: false, shards: 1 },
  });
  expect(evaluation).toHaveProperty('reason');
  expect(Object.keys(leak!)).toEqual(['subspaceShare']);
});
