// The tie to the launcher process: when that is gone, this one is told to stop.

/**
 * Where bin/offsite.js started this process, on a machine with an older Node, it ends with it: when that is killed, its end of
 * their channel closes, which is taken for a terminal that is gone.
 */
export function endWithParent(): void {
  if (process.channel === undefined) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGHUP'));
  process.channel?.unref();
}
