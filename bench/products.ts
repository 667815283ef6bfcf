// Whether one product for query, key and value, or for gate and up, is faster than one each: node bench/products.ts
import { cpus } from 'node:os';
import { Engine, type Session, type Tensor } from '../src/engine/index.ts';
import { GraphBuilder } from '../src/graph/index.ts';
import { median } from './child.ts';

const rounds = Number(process.env['BENCH_RUNS'] ?? 30);
/** SmolLM2-135M's. */
const hidden = 576;
const maps = { 'query, key, value': [576, 192, 192], 'gate, up': [1536, 1536] };
// Threads that wait for each other would count.
const engine = await Engine.create({ provider: 'cpu', threads: 1 });

const filled = (shape: number[]): Tensor => {
  const data = new Float32Array(shape.reduce((product, length) => product * length, 1));
  return { dtype: 'float32', shape, data: data.map((_, i) => Math.sin(i)) };
};

/** The products of some rows with matrices of these widths. @returns runs them */
async function products(tokens: number, widths: readonly number[]): Promise<() => Promise<unknown>> {
  const session: Session = await engine.session(`${tokens} x ${widths}`, () => {
    const g = new GraphBuilder();
    const x = g.input('x', 'float32', [tokens, hidden]);
    for (const [i, width] of widths.entries())
      g.output(`y${i}`, g.matmul(x, g.input(`w${i}`, 'float32', [width, hidden]), { transB: true }));
    return g;
  });
  const weights = widths.map((width, i) => [`w${i}`, filled([width, hidden])] as const);
  const feeds = { x: filled([tokens, hidden]), ...Object.fromEntries(weights) };
  return () => session.run(feeds);
}

async function milliseconds(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

console.log(`${cpus()[0]?.model}, one thread, medians of ${rounds}, in turns; milliseconds`);
for (const tokens of [64, 512, 2048])
  for (const [name, widths] of Object.entries(maps)) {
    const each = await products(tokens, widths);
    const one = await products(tokens, [widths.reduce((sum, width) => sum + width, 0)]);
    const times = { each: [] as number[], one: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      times.each.push(await milliseconds(each));
      times.one.push(await milliseconds(one));
    }
    const [apart, together] = [median(times.each), median(times.one)];
    console.log(
      `${tokens} tokens, ${name}: ${apart.toFixed(2)} each, ${together.toFixed(2)} as one, ${(together / apart).toFixed(2)} times`,
    );
  }
await engine.dispose();
