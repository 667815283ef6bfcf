// The compute thread's entry: runs one stage from start to end and posts its events and its outcome.
import { parentPort, workerData } from 'node:worker_threads';
import { confineTo, stopHashingWhere } from '../../artifact/index.ts';
import type { Emit } from '../../progress/index.ts';
import type { StageJob } from '../job.ts';
import { failureOf } from '../outcome.ts';
import { AskingKeeper } from './asking-keeper.ts';
import type { ThreadMessage } from './messages.ts';
import { stages } from './stages.ts';

const { job, cancel } = workerData as { job: StageJob; cancel: SharedArrayBuffer };
const post = (message: ThreadMessage) => parentPort?.postMessage(message);
const keeper = new AskingKeeper(parentPort);

let status: Record<string, unknown> = {};
const emit: Emit = (event) => {
  if (event.type === 'result') status = event.result as Record<string, unknown>;
  post({ event });
};

const flag = new Int32Array(cancel);
stopHashingWhere(() => Atomics.load(flag, 0) !== 0);
try {
  if (job.mounts.confined) confineTo(Object.values(job.mounts.claims));
  await stages[job.stage](job, { emit, cancel, keeper });
  post({ outcome: { ok: true, status } });
} catch (error) {
  if (process.env['OFFSITE_DEBUG']) console.error(error);
  post({ outcome: { ok: false, ...failureOf(error), status } });
}
keeper.close();
