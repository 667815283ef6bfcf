// Weights that sessions store, as CUDA's do, with the CPU in its place.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freeDeviceMemory } from '../../../src/engine/cuda.ts';
import { Engine, type Frozen, type Tensor } from '../../../src/engine/index.ts';
import { GraphBuilder } from '../../../src/graph/index.ts';

const side = 64;
const bytes = 4 * side * side;

/** x W, with W as an input that stays as it is. */
function weighted(): GraphBuilder {
  const g = new GraphBuilder();
  g.output('y', g.matmul(g.input('x', 'float32', [1, side]), g.input('w', 'float32', [side, side])));
  return g;
}

const x: Tensor = { dtype: 'float32', shape: [1, side], data: new Float32Array(side).fill(1) };

/** A weight of equal numbers, and how often it was read. */
function weightOf(value: number): Frozen & { readonly reads: number } {
  let reads = 0;
  return {
    name: `weight ${value}`,
    inputs: new Set(['w']),
    get reads() {
      return reads;
    },
    read() {
      reads++;
      return {
        w: { dtype: 'float32', shape: [side, side], data: new Float32Array(side * side).fill(value) },
      };
    },
  };
}

let engine: Engine;
const engineOf = async (stored?: number) => {
  engine = await Engine.create({ provider: 'cpu', threads: 1, standsFor: 'cuda', stored });
};
afterEach(() => engine?.dispose());

/** What x W is with W of equal numbers. */
async function productWith(weight: Frozen): Promise<number> {
  const session = await engine.session('product', weighted, weight);
  return (await session.run({ x }))['y']!.data[0] as number;
}

it('go there once, and other weights of the same graph have a session of their own', async () => {
  await engineOf();
  const [one, two] = [weightOf(1), weightOf(2)];
  for (let run = 0; run < 3; run++) {
    expect(await productWith(one)).toBe(side);
    expect(await productWith(two)).toBe(2 * side);
  }
  expect([one.reads, two.reads]).toEqual([1, 1]);
  expect(engine.traffic.sent.get('w')).toBe(2 * bytes);
  expect(engine.traffic.sent.get('x')).toBe(6 * 4 * side);
});

it('that were used longest ago go where there is no room', async () => {
  await engineOf(2 * bytes);
  const [one, two, three] = [weightOf(1), weightOf(2), weightOf(3)];
  for (const weight of [one, two, one, three, one, two])
    expect(await productWith(weight)).toBe(weight === one ? side : weight === two ? 2 * side : 3 * side);
  expect([one.reads, two.reads, three.reads]).toEqual([1, 2, 1]);
});

it('one that alone is more than there is room for has it', async () => {
  await engineOf(bytes / 2);
  expect(await productWith(weightOf(1))).toBe(side);
});

it('memory that a run asks for and does not get is told, with what to lower', async () => {
  await engineOf();
  const session = await engine.session('large', () => {
    const g = new GraphBuilder();
    const all = g.expand(g.input('x', 'float32', [1, side]), [2 ** 22, 2 ** 16, side]);
    g.output('y', g.reduceSum(g.exp(all), [0, 1, 2]));
    return g;
  });
  await expect(session.run({ x })).rejects.toMatchObject({
    reason: 'EngineUnavailable',
    message: expect.stringMatching(
      /^provider cpu: the device's memory is full \(.+\): lower spec\.engine\.memory, which bounds the weights that lie there \(2\.0 GiB now\), or maxLength or the batch, /,
    ),
  });
});

describe('the memory of a device', () => {
  const directory = mkdtempSync(join(tmpdir(), 'offsite-smi-'));
  const path = process.env['PATH'];
  beforeAll(() => {
    process.env['PATH'] = directory;
  });
  afterAll(() => {
    process.env['PATH'] = path;
    rmSync(directory, { recursive: true });
  });
  const tool = (said: string) => {
    const script = `#!/bin/sh\n[ "$*" = "--query-gpu=memory.free --format=csv,noheader,nounits" ] && echo '${said}'\n`;
    writeFileSync(join(directory, 'nvidia-smi'), script);
    chmodSync(join(directory, 'nvidia-smi'), 0o755);
  };

  it('is not known where there is no tool', () => {
    expect(freeDeviceMemory()).toBeUndefined();
  });

  it("is half of what the first device has free, by the driver's tool", () => {
    tool('143000\n81000');
    expect(freeDeviceMemory()).toBe(71_500 * 2 ** 20);
  });

  it.each(['[N/A]', '[Insufficient Permissions]', ''])('is not known where the tool says "%s"', (said) => {
    tool(said);
    expect(freeDeviceMemory()).toBeUndefined();
  });
});
