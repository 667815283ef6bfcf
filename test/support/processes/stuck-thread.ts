// Loaded by Node before the CLI or a pod (--import): the compute thread is in one call that takes minutes and cannot be interrupted.
import { pbkdf2Sync } from 'node:crypto';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) {
  process.stderr.write('the compute thread is stuck\n');
  pbkdf2Sync('', '', 2_000_000_000, 64, 'sha512');
}
