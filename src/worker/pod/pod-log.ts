// A pod's structured log: JSON lines, with progress at a limited rate.
import pino, { type Logger } from 'pino';
import type { StageEvent } from '../../progress/index.ts';
import type { StageJob } from '../job.ts';

/** JSON lines on standard output, written at once: the process may end right after. */
export function openLog(environment: NodeJS.ProcessEnv): Logger {
  const level = environment['LOG_LEVEL'] ?? 'info';
  return pino(
    {
      level: Object.hasOwn(pino.levels.values, level) ? level : 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 1, sync: true }),
  );
}

/** The log of one stage: every line says whose it is. */
export function stageLog(log: Logger, { stage, resource, shard }: StageJob): Logger {
  const { name, namespace, uid } = resource.metadata;
  return log.child({
    stage,
    kind: resource.kind,
    namespace,
    name,
    uid,
    ...(shard && { shard: shard.index }),
  });
}

const betweenLines = 10_000;

/** Writes events down, progress now and then only; results are figures and digests, and stay out. */
export function eventLog(log: Logger): (event: StageEvent) => void {
  const last = new Map<string, number>();
  return (event) => {
    if (event.type === 'warning') log.warn({ reason: event.reason }, event.message);
    else if (event.type === 'result') log.info('result');
    else {
      const now = performance.now();
      const isLast = event.progressPercentage === 100;
      if (!isLast && now - (last.get(event.stage) ?? Number.NEGATIVE_INFINITY) < betweenLines) return;
      last.set(event.stage, now);
      const { stage: part, progressPercentage, estimatedRemainingSeconds, metrics } = event;
      const figures = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
      log.info({ part, progressPercentage, estimatedRemainingSeconds, ...figures }, 'progress');
    }
  };
}
