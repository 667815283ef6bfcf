// What goes to a device and comes home in each of some training steps: a line of JSON a step. node traffic.ts PROVIDER DIRECTORY
import { Engine } from '../../../src/engine/index.ts';
import { trafficOf } from './step-traffic.ts';

const [provider, directory] = process.argv.slice(2) as ['webgpu', string];
const engine = await Engine.create({ provider, threads: 1 });
for (const step of await trafficOf(engine, directory)) console.log(JSON.stringify(step));
// The device's own threads would keep the process.
process.exit();
