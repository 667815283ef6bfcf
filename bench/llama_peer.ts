// The llama.cpp peer of one measurement: node-llama-cpp of $BENCH_LLAMA, prompts of token ids, one at a time, on a float32 file.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

/** What is used of node-llama-cpp, which is no dependency of this project. */
interface LlamaModule {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LlamaModel> }>;
}
interface LlamaModel {
  createContext(options: object): Promise<{ getSequence(): LlamaSequence }>;
}
interface LlamaSequence {
  evaluateWithoutGeneratingNewTokens(tokens: readonly number[]): Promise<void>;
  clearHistory(): Promise<void>;
}

interface Job {
  readonly installed: string;
  readonly path: string;
  readonly threads: number;
  readonly rows: readonly (readonly number[])[];
}

const { installed, path, threads, rows } = JSON.parse(await text(process.stdin)) as Job;
const entry = createRequire(join(installed, 'package.json')).resolve('node-llama-cpp');
const { getLlama } = (await import(pathToFileURL(entry).href)) as LlamaModule;
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
const model = await llama.loadModel({ modelPath: path });
const longest = Math.max(...rows.map(({ length }) => length));
const context = await model.createContext({ contextSize: 2 * longest, batchSize: longest, threads });
const sequence = context.getSequence();
await sequence.evaluateWithoutGeneratingNewTokens(rows[0]!);

const start = performance.now();
const before = process.cpuUsage();
for (const row of rows) {
  await sequence.clearHistory();
  await sequence.evaluateWithoutGeneratingNewTokens(row);
}
const { user, system } = process.cpuUsage(before);
console.log(
  JSON.stringify({
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: (user + system) / 1e6,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  }),
);
process.exit(0);
