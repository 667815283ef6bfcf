// Hears what pods report, as the operator does. Ends when its standard input does, and prints what it has heard.
import { once } from 'node:events';
import { join } from 'node:path';

const [root = '', url = ''] = process.argv.slice(2);
const { Reports } = (await import(
  join(root, 'operator/progress/index.ts')
)) as typeof import('../operator/progress/index.ts');

const reports = new Reports({ url, environment: {} });
const ending = new AbortController();
let heard = 0;
reports.onReport(() => {
  heard += 1;
});
const done = reports.start(ending.signal);
const looking = setInterval(() => {
  if (!reports.connected) return;
  clearInterval(looking);
  console.log('connected');
}, 50);
await once(process.stdin.resume(), 'end');
ending.abort();
await done;
console.log(JSON.stringify({ heard }));
