import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ordersIn, violationsOf } from '../../../scripts/check-imports.ts';

const orders = ordersIn(`
src: api, artifact, engine, cli
src/artifact: address, {lock, stores}, mirror
operator: runtime, jobs, {offsite-tune, plug-in}
operator/jobs: pods, decide
`);
const check = (files: Readonly<Record<string, string>>) =>
  violationsOf(
    Object.entries(files).map(([path, text]) => ({ path, text })),
    orders,
  );

it.each([
  ['an earlier folder', 'src/engine/a.ts', "import { b } from '../api/index.ts';"],
  ['its own folder', 'src/engine/a.ts', "import type { b } from './b.ts';"],
  ['a file beside it', 'src/artifact/stores/a.ts', "import type { b } from '../b.ts';"],
  ['an earlier sub-folder', 'src/artifact/mirror/a.ts', "import { b } from '../stores/b.ts';"],
  ['a sub-folder by a file beside it', 'src/artifact/index.ts', "export { b } from './mirror/b.ts';"],
  ['a package', 'src/engine/a.ts', "import ort from 'onnxruntime-node';"],
  ['a word in a text', 'src/api/a.ts', "const text = `import { b } from '../engine/index.ts'`;"],
  ['the operator: progress', 'operator/a.ts', "import { b } from '../src/api/index.ts';"],
  ["the operator's folders", 'operator/a.ts', "import { b } from './jobs/index.ts';"],
  ['an earlier one of them', 'operator/jobs/a.ts', "import { b } from '../runtime/index.ts';"],
  ['an earlier one inside', 'operator/jobs/decide/a.ts', "import { b } from '../pods/b.ts';"],
])('allows %s', (_, path, text) => expect(check({ [path]: text })).toEqual([]));

it.each([
  [
    'a later folder',
    'src/api/a.ts',
    "import {\n  b,\n} from '../engine/index.ts';",
    'does not come before src/api',
  ],
  ['a type of one', 'src/api/a.ts', "import type { b } from '../engine/index.ts';", 'does not come before'],
  ['a re-export', 'src/api/index.ts', "export * from '../cli/index.ts';", 'does not come before'],
  ['a dynamic import', 'src/api/a.ts', "const b = await import('../cli/index.ts');", 'does not come before'],
  ['a side door', 'src/cli/a.ts', "import { b } from '../api/errors.ts';", 'only src/api/index.ts'],
  ['an unlisted folder', 'src/new/a.ts', "import { b } from '../api/index.ts';", 'does not list src/new'],
  ['an unlisted sub-folder', 'src/artifact/a.ts', "import { b } from './new/b.ts';", 'list src/artifact/new'],
  [
    'folders without an order',
    'src/engine/a/a.ts',
    "import { b } from '../b/b.ts';",
    "no order of src/engine's",
  ],
  [
    'a later sub-folder',
    'src/artifact/address/a.ts',
    "import { b } from '../mirror/b.ts';",
    'before src/artifact/address',
  ],
  [
    'one that stands beside it',
    'src/artifact/lock/a.ts',
    "import { b } from '../stores/b.ts';",
    'before src/artifact/lock',
  ],
  ['operator from src', 'src/cli/a.ts', "import { b } from '../../operator/a.ts';", 'nothing outside src'],
  ['the engine in the operator', 'operator/a.ts', "import { b } from '../src/engine/index.ts';", 'uses only'],
  [
    'a later one of them',
    'operator/runtime/a.ts',
    "import { b } from '../jobs/index.ts';",
    'come before operator/runtime',
  ],
  [
    'a later one inside',
    'operator/jobs/pods/a.ts',
    "import { b } from '../decide/b.ts';",
    'before operator/jobs/pods',
  ],
  [
    'a kind by a kind',
    'operator/plug-in/a.ts',
    "import { b } from '../offsite-tune/index.ts';",
    'come before',
  ],
  ['its side door', 'operator/a.ts', "import { b } from './jobs/names.ts';", 'only operator/jobs/index.ts'],
  [
    'what stands beside it',
    'operator/jobs/a.ts',
    "import { b } from '../main.ts';",
    'not the other way round',
  ],
  ['onnxruntime in the operator', 'operator/a.ts', "import 'onnxruntime-node';", 'never loads'],
])('reports %s', (_, path, text, problem) => {
  const [violation, ...more] = check({ [path]: text });
  expect(violation).toContain(`${path}: imports `);
  expect(violation).toContain(problem);
  expect(more).toEqual([]);
});

it('reports a way up that leads through files beside the sub-folders', () => {
  const violations = check({
    'src/artifact/lock/a.ts': "import { b } from '../b.ts';",
    'src/artifact/b.ts': "import { c } from './c.ts';",
    'src/artifact/c.ts': "import { d } from './mirror/d.ts';",
    'src/artifact/mirror/d.ts': "import { e } from '../../api/index.ts';",
  });
  expect(violations).toEqual([
    'src/artifact/lock/a.ts: imports ../b.ts, which imports src/artifact/mirror/d.ts: ' +
      'src/artifact/mirror does not come before src/artifact/lock in docs/architecture.md',
  ]);
});

it('reports each circle of files once, types included', () => {
  const violations = check({
    'src/api/a.ts': "import { b } from './b.ts';",
    'src/api/b.ts': "import type { c } from './c.ts';",
    'src/api/c.ts': "export { a } from './a.ts';\nimport './d.ts';",
    'src/api/d.ts': '',
  });
  expect(violations).toEqual(['src/api/a.ts: imports itself: src/api/b.ts > src/api/c.ts > src/api/a.ts']);
});

it('reads the orders of the documentation, and says where one is missing', () => {
  const declared = ordersIn(readFileSync(new URL('../../../docs/architecture.md', import.meta.url), 'utf8'));
  expect(declared.get('src')?.slice(0, 3)).toEqual([['api'], ['progress'], ['artifact']]);
  expect(declared.get('src')?.at(-1)).toEqual(['cli']);
  expect(declared.get('operator')?.at(-1)).toEqual(['jobs']);
  expect(() => ordersIn('src: api, cli')).toThrow('no line "operator: ..."');
});
