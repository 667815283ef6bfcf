// Whether a block's matrices are better stored in a session, which packs them once, than given to each run, and whether the bits of a row
// hang on how many are asked beside it: node bench/packing.ts
import { cpus } from 'node:os';
import { Engine, type Session, type Tensor } from '../src/engine/index.ts';
import { GraphBuilder } from '../src/graph/index.ts';
import { median } from './child.ts';

const rounds = Number(process.env['BENCH_RUNS'] ?? 30);
/** SmolLM2-135M's, [to, from]: query, key, value, output, gate, up, down. */
const maps = [
  [576, 576],
  [192, 576],
  [192, 576],
  [576, 576],
  [1536, 576],
  [1536, 576],
  [576, 1536],
] as const;
// Threads that wait for each other would count.
const [given, stored] = await Promise.all([
  Engine.create({ provider: 'cpu', threads: 1 }),
  // Runs on the CPU, with weights in its sessions.
  Engine.create({ provider: 'cpu', threads: 1, standsFor: 'cuda' }),
]);

const filled = (shape: readonly number[]): Tensor => {
  const data = new Float32Array(shape.reduce((product, length) => product * length, 1));
  return { dtype: 'float32', shape, data: data.map((_, i) => Math.sin(i)) };
};

async function cpuMilliseconds(run: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

console.log(`${cpus()[0]?.model}, one thread, CPU milliseconds, medians of ${rounds}, in turns`);
const weights = maps.map(filled);
const named = (prefix: string, tensors: readonly Tensor[]) =>
  Object.fromEntries(tensors.map((tensor, i) => [`${prefix}${i}`, tensor]));
const w = named('w', weights);
const frozen = { name: 'block', inputs: new Set(Object.keys(w)), read: () => w };

/** The products of so many rows, of which fewer are the first of more. */
function productsOf(tokens: number) {
  const inputs = maps.map(([, from]) => filled([tokens, from]));
  const graph = () => {
    const g = new GraphBuilder();
    for (const [i, [to, from]] of maps.entries()) {
      const x = g.input(`x${i}`, 'float32', [tokens, from]);
      g.output(`y${i}`, g.matmul(x, g.input(`w${i}`, 'float32', [to, from]), { transB: true }));
    }
    return g;
  };
  return { graph, x: named('x', inputs) };
}

for (const tokens of [256, 1024, 2048]) {
  const { graph, x } = productsOf(tokens);
  const gives = await given.session(`${tokens}`, graph);
  let stores: Session | undefined;
  const ready = await cpuMilliseconds(async () => {
    stores = await stored.session(`${tokens}`, graph, frozen);
  });
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    times[0].push(await cpuMilliseconds(() => gives.run({ ...x, ...w })));
    times[1].push(await cpuMilliseconds(() => stores!.run(x)));
  }
  const [each, packed] = [median(times[0]), median(times[1])];
  console.log(
    `${tokens} tokens: given ${each.toFixed(1)}, stored ${packed.toFixed(1)} (${(packed / each).toFixed(2)} times), making it ready ${ready.toFixed(1)}: pays from ${Math.ceil(ready / (each - packed))} runs on`,
  );
}

const most = 2048;
for (const [name, engine] of Object.entries({ given, stored })) {
  const run = async (tokens: number) => {
    const { graph, x } = productsOf(tokens);
    const session = await engine.session(`bits ${tokens}`, graph, frozen);
    return await session.run(name === 'given' ? { ...x, ...w } : x);
  };
  const all = await run(most);
  const other: number[] = [];
  for (const tokens of [1, 2, 7, 12, 17, 33, 64, 96, 128, 512, 1000, 1920]) {
    const few = await run(tokens);
    const isSame = Object.entries(few).every(([output, { data }]) =>
      (data as Float32Array).every((value, i) => value === all[output]!.data[i]),
    );
    if (!isSame) other.push(tokens);
  }
  console.log(`${name}: rows have other bits than among ${most} among ${other.join(', ') || 'none'}`);
}
process.exit(0);
