// The command that shows live progress of what runs elsewhere.
import { printable, variables } from '../api/index.ts';
import { openTerminal, whyUnreachable } from '../progress/index.ts';
import { onLostOutput } from './output.ts';
import { type NatsSource, watchNats } from './watch-nats.ts';
import { watchStatus } from './watch-status.ts';
import { parseTarget } from './watch-target.ts';

interface WatchFlags {
  namespace?: string;
  allNamespaces?: boolean;
  nats?: string;
  natsCredentials?: string;
  json?: boolean;
}

/** `offsite watch`: live bars of what runs elsewhere, from NATS, or from the resources' status where NATS cannot be reached. */
export async function watchCommand(subject: string | undefined, flags: WatchFlags): Promise<void> {
  const { namespace, allNamespaces } = flags;
  const target = parseTarget(subject, {
    ...(namespace !== undefined && { namespace }),
    ...(allNamespaces !== undefined && { allNamespaces }),
  });
  const url = flags.nats ?? process.env[variables.natsUrl];
  const source = url === undefined ? undefined : { url, credentials: flags.natsCredentials };
  const useNats = source !== undefined && (await isReachable(source));

  const abort = new AbortController();
  const stop = () => abort.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  onLostOutput(stop);
  const terminal = openTerminal({ json: flags.json ?? false });
  try {
    if (useNats) await watchNats(source, target, terminal, abort.signal);
    else if (!(await watchStatus(target, terminal, abort.signal))) process.exitCode = 1;
  } finally {
    terminal.close();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
}

async function isReachable(source: NatsSource): Promise<boolean> {
  const why = await whyUnreachable(source);
  if (why === undefined) return true;
  console.error(`NATS cannot be reached (${printable(why)}): following the resources' status with kubectl`);
  return false;
}
