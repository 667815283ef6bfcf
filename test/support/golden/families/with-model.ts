import { join } from 'node:path';
import { Engine, type EngineOptions } from '../../../../src/engine/index.ts';
import { type Model, openModel } from '../../../../src/model/index.ts';
import { type Fixture, fixtureOf, variants, writeCheckpoint } from './fixture.ts';

/** `make test-faults` tries all variants; else one of each family. */
export const triedVariants = (): string[] =>
  variants().filter((name) => process.env['EVERY_FAMILY'] === '1' || fixtureOf(name).emulator);

export type Use<T> = (engine: Engine, model: Model, fixture: Fixture) => Promise<T>;

/**
 * A variant's model with an engine of its own on the CPU, one thread.
 * @param directory where its checkpoint is written
 */
export async function withModel<T>(
  { directory, variant, ...options }: { directory: string; variant: string } & Partial<EngineOptions>,
  use: Use<T>,
): Promise<T> {
  const path = join(directory, variant);
  const fixture = fixtureOf(variant);
  writeCheckpoint(path, fixture);
  const model = openModel(path);
  const engine = await Engine.create({ provider: 'cpu', threads: 1, ...options });
  const found = await use(engine, model, fixture);
  model.close();
  await engine.dispose();
  return found;
}
