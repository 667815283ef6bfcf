// What is left of the library's errors for a condition to say.

/** What the library says without its own source's places and conditions: what a driver answered stands last, or between these. */
export const saidBy = (error: unknown): string =>
  ((error as Error).message.split('\n')[0] as string)
    .replace(/^\/\S+:\d+ .* was false\. /, '')
    .replace(/^Non-zero status code .* Status Message: (?:\S+:\d+ \w+ )?/, '')
    .replace(/^.* (CUDA failure \d+: .*?) ; GPU=.*$/, '$1');

/** Whether there was no memory for weights, or for what a run makes: by the driver's words, the allocator's, or a library's. */
export const isOutOfMemory = (error: unknown): boolean =>
  /CUDA failure 2:|out of memory|Failed to allocate memory for requested buffer|_STATUS_ALLOC_FAILED/i.test(
    (error as Error).message,
  );
