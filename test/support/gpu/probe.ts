// The probe on a provider beside the CPU's: a line of JSON for each way of pooling. node probe.ts PROVIDER DIRECTORY
import { Engine } from '../../../src/engine/index.ts';
import { probesBeside } from './probed.ts';

const [provider, directory] = process.argv.slice(2) as ['webgpu', string];
const engine = await Engine.create({ provider, threads: 1 });
for (const found of await probesBeside(engine, directory)) console.log(JSON.stringify(found));
// The device's own threads would keep the process.
process.exit();
