import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pack } from '../../src/data/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { Decoder, openModel, weightsOf } from '../../src/model/index.ts';
import { relative } from '../support/golden/families/compare.ts';
import { fixtureOf, unpacked, variants, writeCheckpoint } from '../support/golden/families/fixture.ts';
import { batchOf, logitsAt, measure, memory, tokensOf } from '../support/golden/families/measure.ts';
import { type Measured, staleCells, writeTable } from '../support/golden/families/table.ts';
import { measureEmulator } from '../support/golden/families/tuned.ts';
import { workDirectory } from '../support/golden/smollm2.ts';

const work = workDirectory();
afterAll(work.remove);
const measured = new Map<string, Measured>();

describe.each(variants())('%s', (variant) => {
  const fixture = fixtureOf(variant);
  const path = join(work.path, variant);
  let engine: Engine;
  beforeAll(async () => {
    writeCheckpoint(path, fixture, variant === 'llama' ? 3 : 1);
    engine = await Engine.create({ provider: 'cpu', threads: 1 });
  });
  afterAll(async () => engine.dispose());

  test('logits, loss and the gradient of every weight are those of transformers', async () => {
    const model = openModel(path);
    const parity = await measure(engine, model, fixture);
    model.close();
    measured.set(variant, parity);
    expect(parity.logits).toBeLessThan(1e-3);
    expect(parity.loss).toBeLessThan(1e-3);
    expect(parity.gradients).toBeLessThan(1e-3);
  });

  test('and so are the logits of rows in sequences of their own', async () => {
    const model = openModel(path);
    const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory }));
    const batch = batchOf(fixture, 2);
    expect(batch.size).toBe(2);
    let x = await decoder.embed(batch);
    for (const span of decoder.spans()) x = await decoder.forward(span, x, batch);
    const found = await logitsAt(decoder, x, tokensOf(fixture, batch));
    model.close();
    expect(relative(found, unpacked(fixture.full.logits))).toBeLessThan(1e-3);
  });

  if (!fixture.emulator) return;
  test('so are its emulator, five steps in it of every adapter, and what is plugged in', async () => {
    const model = openModel(path);
    const parity = await measureEmulator(engine, model, fixture);
    model.close();
    Object.assign(measured.get(variant)!, { emulator: parity });
    expect(parity.logits).toBeLessThan(1e-3);
    const { lora, dropout, beside, droppedBeside, head, bottleneck } = parity;
    for (const { losses, changes, plugIn } of [
      ...[parity, lora, dropout, beside, droppedBeside, head, bottleneck],
    ]) {
      expect(losses).toBeLessThan(1e-3);
      expect(changes).toBeLessThan(1e-2);
      // a gradient of the head that is nothing but rounding still moves its weight by a whole step of AdamW
      expect(plugIn).toBeLessThan(plugIn === head.plugIn ? 1e-2 : 1e-3);
    }
  });
});

test('the table of docs/families.md is what was measured (WRITE_FAMILIES=1 writes it)', () => {
  if (process.env['WRITE_FAMILIES'] === '1') writeTable(measured);
  expect(staleCells(measured)).toEqual([]);
});

test('a row that is longer than the positions of the model is refused', async () => {
  const path = join(work.path, 'short');
  const fixture = fixtureOf('gpt2');
  writeCheckpoint(path, fixture);
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const model = openModel(path);
  const decoder = new Decoder(engine, model.architecture, weightsOf(model, { memory: 2 ** 20 }));
  const trunk = Array.from({ length: 65 }, () => 5);
  const [batch] = pack([{ row: 0, trunk, branches: [], bytes: [] }], { capacity: 80, batch: 1 });
  await expect(decoder.embed(batch!)).rejects.toThrow(
    'a row has more tokens than the 64 that the model has positions for',
  );
  model.close();
  await engine.dispose();
});
