// With which code a worker ends, and what the operator takes it for.

/** Those of what no other try mends, and of what was asked to stop. */
export const exitCodes = {
  BadSpec: 10,
  BadData: 11,
  BadModel: 12,
  GateFailed: 13,
  EngineUnavailable: 14,
  Cancelled: 143,
} as const;

export type ErrorReason = keyof typeof exitCodes;

/** Every reason that a stage gives for its failure: these, and those that another try may mend. */
export const failureReasons = [
  ...(Object.keys(exitCodes) as ErrorReason[]),
  'StoreUnavailable',
  'AccessDenied',
  'NoSpace',
  'InternalError',
  'TakenOver',
] as const;
export type FailureReason = (typeof failureReasons)[number];

/** Another try may mend it. */
export const mendable = 1;

/** After which no pod is tried again; the operator's Jobs keep room for reasons to come. */
export const finalExits: readonly number[] = Array.from({ length: 10 }, (_, i) => 10 + i);

/** Of a worker that obeyed SIGTERM. */
export const stoppedExit = exitCodes.Cancelled;

/** The reasons of the exit codes, for a worker that could not say more. */
export const reasonOfExit: Readonly<Record<number, ErrorReason>> = Object.fromEntries(
  Object.entries(exitCodes).map(([reason, code]) => [code, reason as ErrorReason]),
);

/** After SIGTERM never 0: the pod that replaces this one returns the result at once. */
export function exitCodeOf(
  ending: { readonly ok: true } | { readonly ok: false; readonly exitCode: number },
  stopped: boolean,
): number {
  if (!ending.ok) return ending.exitCode;
  return stopped ? stoppedExit : 0;
}

/** Whether a worker that ended so did not do its part: one that obeyed SIGTERM goes on in another pod. */
export const isFailure = (exitCode: number | undefined): boolean =>
  exitCode !== 0 && exitCode !== stoppedExit;
