// The exit of a process that waits for none of its threads.

/**
 * Ends this process now, with this exit code. process.exit would wait for a thread that is in the middle of a call, and as
 * process 1 of a container it could not even kill itself; another program in its place ends all threads at once.
 */
export function endAtOnce(code: number): never {
  try {
    process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${code})`], {});
  } catch {
    // Not on this system: the way that may take longer.
  }
  process.exit(code);
}
