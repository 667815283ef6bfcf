/** What a worker leaves behind in its container's status when it ends (/dev/termination-log, under 4,096 bytes). */
import { z } from 'zod';
import type { ErrorReason } from '../../src/api/index.ts';
import { type Pod, workerTerminated } from './objects.ts';

const artifact = z.object({ uri: z.string(), digest: z.string(), sizeBytes: z.number() });

const schema = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    stage: z.string(),
    artifact: artifact.exactOptional(),
    summary: z.record(z.string(), z.unknown()).exactOptional(),
  }),
  z.object({
    ok: z.literal(false),
    stage: z.string(),
    reason: z.string().regex(/^[A-Z][A-Za-z]{0,63}$/),
    message: z.string(),
    exitCode: z.number(),
  }),
]);

export type Termination = z.output<typeof schema>;
export type Success = Extract<Termination, { ok: true }>;

/** Undefined where the container did not end, or left something else. */
export function terminationOf(pod: Pod): Termination | undefined {
  const text = workerTerminated(pod)?.message;
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The reasons of the worker's exit codes, for a worker that could not say more. */
export const reasonOfExit: Readonly<Record<number, ErrorReason>> = {
  10: 'BadSpec',
  11: 'BadData',
  12: 'BadModel',
  13: 'GateFailed',
  14: 'EngineUnavailable',
  143: 'Cancelled',
};
