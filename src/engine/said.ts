// What is left of the library's errors for a condition to say.

/** What the library says without its own source's places and conditions: what a driver answered stands last, or between these. */
export const saidBy = (error: unknown): string =>
  ((error as Error).message.split('\n')[0] as string)
    .replace(/^\/\S+:\d+ .* was false\. /, '')
    .replace(/^.* (CUDA failure \d+: .*?) ; GPU=.*$/, '$1');
