import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Adapter } from '../../../src/api/index.ts';
import { families } from '../../../src/model/families/index.ts';

const operator = join(import.meta.dirname, '../../../operator');
const adapters = Adapter.shape.type.unwrap().options.filter((type) => type !== 'layers'); // a word of other meanings too
const names = [...families.map(({ name }) => name), ...adapters];

test('nothing in operator/ knows the name of a family or of an adapter', () => {
  const known = new RegExp(`\\b(${names.join('|')})\\b`, 'i');
  const files = globSync('**/*.ts', { cwd: operator });
  expect(files.length).toBeGreaterThan(10);
  expect(names.length).toBeGreaterThan(10);
  expect(files.filter((file) => known.test(readFileSync(join(operator, file), 'utf8')))).toEqual([]);
});
