import { expect, test } from 'vitest';
import { Engine } from '../../../src/engine/index.ts';
import { GraphBuilder } from '../../../src/graph/index.ts';

/** Of a matrix that each run makes on its way to one number; malloc keeps none of 32 MiB or more. */
const bytes = 40 * 2 ** 20;

/** exp of a row of zeros spread over a matrix, and its sum. */
function wasteful(columns: number): GraphBuilder {
  const g = new GraphBuilder();
  const x = g.input('x', 'float32', [1, columns]);
  const spread = g.exp(g.expand(x, [bytes / 4 / columns, columns]));
  g.output('sum', g.reduceSum(spread, [0, 1]));
  return g;
}

test('graphs of many shapes together take the memory of a few', async () => {
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const run = async (columns: number) => {
    const session = await engine.session(`of ${columns}`, () => wasteful(columns));
    const x = { dtype: 'float32' as const, shape: [1, columns], data: new Float32Array(columns) };
    expect((await session.run({ x }))['sum']!.data[0]).toBe(bytes / 4);
  };
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 14; i++) await run(2 ** (i + 4));
  const grown = process.memoryUsage().rss - before;
  // Each that kept its run's memory would hold two matrices: 1.1 GB in all.
  expect(grown).toBeLessThan(18 * bytes);
  await engine.dispose();
});

test('an output that there is room for is the room itself, and no copy that whoever keeps it would hold beside it', async () => {
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const session = await engine.session('twice', () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'float32', [1, 2]);
    g.output('home', g.add(x, x));
    g.output('there', g.mul(x, x), { stays: true });
    return g;
  });
  const tensor = (...data: number[]) => ({
    dtype: 'float32' as const,
    shape: [1, 2],
    data: Float32Array.from(data),
  });
  const room = { home: tensor(0, 0), there: tensor(0, 0) };
  const { home, held } = await session.runHolding({ x: tensor(2, 3) }, room);
  expect(home['home']).toBe(room.home);
  expect(held['there']).toBe(room.there);
  expect([...room.home.data, ...room.there.data]).toEqual([4, 6, 4, 9]);
  await engine.dispose();
});
