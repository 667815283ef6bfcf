import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { orderIn, violationsOf } from '../../../scripts/check-imports.ts';

const order = ['api', 'artifact', 'engine', 'cli'];
const check = (path: string, text: string) => violationsOf([{ path, text }], order);

it.each([
  ['an earlier folder', 'src/engine/a.ts', "import { b } from '../api/index.ts';"],
  ['its own folder', 'src/engine/sub/a.ts', "import type { b } from '../b.ts';"],
  ['a package', 'src/engine/a.ts', "import ort from 'onnxruntime-node';"],
  ['a word in a text', 'src/api/a.ts', "const text = `import { b } from '../engine/index.ts'`;"],
  ['the operator: progress', 'operator/a.ts', "import { b } from '../src/api/index.ts';"],
  ["the operator's folders", 'operator/a.ts', "import { b } from './jobs/index.ts';"],
  ['an earlier one of them', 'operator/jobs/a.ts', "import { b } from '../runtime/index.ts';"],
])('allows %s', (_, path, text) => expect(check(path, text)).toEqual([]));

it.each([
  ['a later folder', 'src/api/a.ts', "import {\n  b,\n} from '../engine/index.ts';", 'comes after'],
  ['a type of a later folder', 'src/api/a.ts', "import type { b } from '../engine/index.ts';", 'comes after'],
  ['a re-export', 'src/api/index.ts', "export * from '../cli/index.ts';", 'comes after'],
  ['a dynamic import', 'src/api/a.ts', "const b = await import('../cli/index.ts');", 'comes after'],
  ['a side door', 'src/cli/a.ts', "import { b } from '../api/errors.ts';", 'only src/api/index.ts'],
  ['an unlisted folder', 'src/new/a.ts', "import { b } from '../api/index.ts';", 'does not list src/new'],
  ['operator from src', 'src/cli/a.ts', "import { b } from '../../operator/a.ts';", 'nothing outside src'],
  ['the engine in the operator', 'operator/a.ts', "import { b } from '../src/engine/index.ts';", 'uses only'],
  [
    'a later one of them',
    'operator/runtime/a.ts',
    "import { b } from '../jobs/index.ts';",
    'does not come before',
  ],
  [
    'a kind by a kind',
    'operator/plug-in/a.ts',
    "import { b } from '../offsite-tune/index.ts';",
    'come before',
  ],
  ['its side door', 'operator/a.ts', "import { b } from './jobs/names.ts';", 'only operator/jobs/index.ts'],
  ['a file beside it', 'operator/jobs/a.ts', "import { b } from '../main.ts';", 'not the other way round'],
  ['onnxruntime in the operator', 'operator/a.ts', "import 'onnxruntime-node';", 'never loads'],
])('reports %s', (_, path, text, problem) => {
  const [violation, ...more] = check(path, text);
  expect(violation).toContain(`${path}: imports `);
  expect(violation).toContain(problem);
  expect(more).toEqual([]);
});

it('reads the order of the documentation', () => {
  const architecture = readFileSync(new URL('../../../docs/architecture.md', import.meta.url), 'utf8');
  expect(orderIn(architecture).slice(0, 3)).toEqual(['api', 'progress', 'artifact']);
  expect(orderIn(architecture).at(-1)).toBe('cli');
});
