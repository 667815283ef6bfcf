// The process in which tokenizers and chat templates from outside are computed. This thread only watches: it ends the
// process where a request takes too long or too much memory, and where whoever started it is gone.
import { Worker } from 'node:worker_threads';
import type { Message, Order, Reply } from './messages.ts';

/** Bytes of JavaScript's own heap; native memory is watched beside it. */
const heap = 1024;
const everyMilliseconds = 50;

const end = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', end);
// A terminal tells a whole group of its signals; this process ends with the one that started it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const worker = new Worker(new URL('./work.ts', import.meta.url), {
  resourceLimits: { maxOldGenerationSizeMb: heap, stackSizeMb: 4 },
});
let watch: NodeJS.Timeout | undefined;

process.on('message', ({ request, seconds, memory }: Order) => {
  const before = process.cpuUsage();
  watch = setInterval(() => {
    const { user, system } = process.cpuUsage(before);
    if (user + system > seconds * 1e6) endWith({ exceeded: 'time' });
    else if (process.memoryUsage.rss() > memory) endWith({ exceeded: 'memory' });
  }, everyMilliseconds);
  worker.postMessage(request);
});
worker.on('message', (reply: Reply) => {
  clearInterval(watch);
  process.send?.(reply);
});
worker.on('error', (error: NodeJS.ErrnoException) => {
  const full = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
  endWith(full ? { exceeded: 'memory' } : { failed: error.message });
});

function endWith(message: Message): void {
  clearInterval(watch);
  process.send?.(message, end);
}
