// Exponential backoff with jitter.

export interface BackoffOptions {
  /** The first wait, in milliseconds. */
  first: number;
  /** No wait is longer. */
  longest: number;
  /** Waits are drawn from [1 - jitter, 1] of the full wait, so that many clients do not come back at once; 0.2. */
  jitter?: number;
}

/** Waits that double: the wait before try number `failures` + 1, in milliseconds. */
export function backoffAfter(
  failures: number,
  { first, longest, jitter = 0.2 }: BackoffOptions,
  random = Math.random,
): number {
  if (failures <= 0) return 0;
  const full = Math.min(longest, first * 2 ** Math.min(failures - 1, 52));
  return full * (1 - jitter * random());
}
