import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { PlugIn } from '../../../src/api/index.ts';
import type { Half } from '../../../src/graph/index.ts';
import { openModel } from '../../../src/model/index.ts';
import { checkPrecision } from '../../../src/plugin/release.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-release-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it.each<['F32' | 'BF16', string, Half | undefined, string | undefined]>([
  ['F32', 'model', undefined, undefined],
  ['BF16', 'adapter', undefined, undefined],
  ['BF16', 'model', 'bfloat16', undefined],
  ['BF16', 'none', 'bfloat16', undefined],
  ['BF16', 'adapter', 'bfloat16', 'an adapter is released in float32, and bfloat16 would measure it rounded'],
  ['BF16', 'model', 'float16', "the model's tensor model.embed_tokens.weight is BF16, and float16"],
  ['F32', 'model', 'bfloat16', "the model's tensor model.embed_tokens.weight is F32, and bfloat16"],
  ['F32', 'none', 'float16', "the model's tensor model.embed_tokens.weight is F32, and float16"],
])('a model in %s, save: %s, measured in %s', (dtype, save, precision, refusal) => {
  const directory = join(root, dtype);
  writeTinyModel(directory, { layers: 1, dtype });
  const model = openModel(directory);
  const check = () => checkPrecision({ output: { save } } as PlugIn['spec'], model, precision);
  if (refusal === undefined) check();
  else expect(check).toThrow(`spec.engine.precision: ${refusal}`);
  model.close();
});
