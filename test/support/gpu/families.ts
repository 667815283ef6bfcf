// Families' fixtures on a provider, beside transformers' values, and what of their graphs ran on the CPU: a line of JSON each.
// node families.ts PROVIDER DIRECTORY [--tuned] [VARIANT...]
import { join } from 'node:path';
import { Engine } from '../../../src/engine/index.ts';
import { openModel } from '../../../src/model/index.ts';
import { fixtureOf, variants, writeCheckpoint } from '../golden/families/fixture.ts';
import { measure } from '../golden/families/measure.ts';
import { measureEmulator } from '../golden/families/tuned.ts';
import { operatorsOnCpu } from './traces.ts';

const [provider, directory, ...rest] = process.argv.slice(2) as ['cpu' | 'webgpu', string, ...string[]];
const chosen = rest.filter((word) => word !== '--tuned');
for (const variant of chosen.length > 0 ? chosen : variants()) {
  const fixture = fixtureOf(variant);
  const path = join(directory, variant);
  writeCheckpoint(path, fixture);
  const engine = await Engine.create({ provider, threads: 1, trace: join(path, 'trace') });
  const model = openModel(path);
  const parity = await measure(engine, model, fixture);
  const emulator =
    rest.includes('--tuned') && fixture.emulator ? await measureEmulator(engine, model, fixture) : undefined;
  model.close();
  await engine.dispose();
  console.log(
    JSON.stringify({ variant, ...parity, emulator, onCpu: operatorsOnCpu(join(path, 'trace*.json')) }),
  );
}
// The device's own threads would keep the process.
process.exit();
