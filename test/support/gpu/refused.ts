// Why a provider does not start in some precision: a line of JSON. node refused.ts PROVIDER PRECISION
import type { OffsiteError } from '../../../src/api/index.ts';
import { Engine, type EngineOptions } from '../../../src/engine/index.ts';

const [provider, precision] = process.argv.slice(2) as [EngineOptions['provider'], 'float16' | 'bfloat16'];
try {
  await Engine.create({ provider, precision, threads: 1 });
} catch (error) {
  const { reason, message } = error as OffsiteError;
  console.log(JSON.stringify({ reason, message }));
}
// The device's own threads would keep the process.
process.exit();
