// What the system's own error codes mean for a stage: what is wrong, and whether the same work can ever go well.
import { exitCodes, type FailureReason, mendable } from '../api/index.ts';
import { systemCodeOf } from '../artifact/index.ts';

export interface SystemFault {
  readonly reason: FailureReason;
  readonly exitCode: number;
  /** Put before the system's own words. */
  readonly wrong: string;
  /** What is to be done, where that does not go without saying. */
  readonly right?: string;
}

const badPlace = (wrong: string): SystemFault => ({ reason: 'BadSpec', exitCode: exitCodes.BadSpec, wrong });
const denied = (wrong: string, right: string): SystemFault => ({
  reason: 'AccessDenied',
  exitCode: exitCodes.BadSpec,
  wrong,
  right,
});
const notAllowed = denied('this process may not', 'give the user or the group that it runs as the right to');
const full: SystemFault = {
  reason: 'NoSpace',
  exitCode: mendable,
  wrong: 'the disk is full',
  right: 'free space there, then run again: what is done is kept',
};
const away: SystemFault = {
  reason: 'StoreUnavailable',
  exitCode: mendable,
  wrong: 'the disk, or the server behind it, does not answer as it should',
};
const short: SystemFault = {
  reason: 'InternalError',
  exitCode: mendable,
  wrong: 'the machine has no more of what every program needs',
};

const faults: ReadonlyMap<string, SystemFault> = new Map([
  ['ENAMETOOLONG', badPlace('a name is longer than this file system takes')],
  ['ENOTDIR', badPlace('a file stands where a directory must be')],
  ['ELOOP', badPlace('symbolic links lead in a circle')],
  ['EISDIR', badPlace('a directory stands where a file must be')],
  ['EROFS', denied('the file system can only be read', 'let it be written to, or choose another place')],
  ['EACCES', notAllowed],
  ['EPERM', notAllowed],
  ['ENOSPC', full],
  ['EDQUOT', full],
  ['EFBIG', full],
  [
    'EBUSY',
    {
      ...away,
      wrong: 'a process has it open, or something is mounted there',
      right: 'end that, or wait for it: it is tried again',
    },
  ],
  ['EIO', away],
  ['ESTALE', away],
  ['ENXIO', away],
  ['ENODEV', away],
  ['ENOTCONN', away],
  ['EHOSTDOWN', away],
  ['ESHUTDOWN', away],
  ['EREMOTEIO', away],
  ['ETIMEDOUT', away],
  [
    'EMFILE',
    {
      reason: 'EngineUnavailable',
      exitCode: exitCodes.EngineUnavailable,
      wrong: 'this process may not open as many files as it needs',
      right: 'let it open 1024 or more (ulimit -n)',
    },
  ],
  ['ENFILE', short],
  ['ENOMEM', short],
  ['EAGAIN', short],
]);

/** What an error of the system means; undefined where it is none that says enough. */
export function systemFaultOf(error: unknown): SystemFault | undefined {
  const { message = '', syscall } = (error ?? {}) as NodeJS.ErrnoException;
  const code = systemCodeOf(error);
  // Libraries say it in words only.
  if (/no space left/i.test(message)) return full;
  if (/too many open files/i.test(message)) return faults.get('EMFILE');
  const told = code === 'ERR_WORKER_INIT_FAILED' ? message.split(' ').at(-1) : code;
  return told === undefined || syscall === 'connect' ? undefined : faults.get(told);
}
