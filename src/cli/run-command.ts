import { mkdirSync } from 'node:fs';
import { badSpec, printable, printableJson } from '../api/index.ts';
import { openTerminal } from '../progress/index.ts';
import { parseMounts } from './arguments.ts';
import { inOrder, loadManifests } from './manifests.ts';
import { listenTogether, natsListener } from './nats-listener.ts';
import { keepRun, reportOfRun } from './report.ts';
import { type RunResource, runResources } from './run.ts';
import { summary } from './summary.ts';

interface RunFlags {
  filename: string[];
  workDir: string;
  mount: string[];
  nats?: string;
  natsCredentials?: string;
  json?: boolean;
}

/** `offsite run`: runs the manifests, shows their progress, writes the report; sets the exit code 0 or 1. */
export async function runCommand(flags: RunFlags): Promise<void> {
  const loaded = inOrder(loadManifests(flags.filename));
  const claims = parseMounts(flags.mount);
  makeWorkDir(flags.workDir);
  keepRun(flags.workDir, claims, loaded);

  const abort = new AbortController();
  let first = Number.POSITIVE_INFINITY;
  const stop = () => {
    // A terminal and a parent process may both pass on one Ctrl-C; a later one means: at once.
    if (performance.now() - first > 1000) {
      console.error('offsite: stopped at once; what was saved before stays');
      process.exit(1);
    }
    first = Math.min(first, performance.now());
    abort.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);

  const terminal = openTerminal({ json: flags.json ?? false });
  const listeners = [terminal, ...natsListener(flags, loaded, terminal)];
  const runs = await runResources(loaded, {
    workDir: flags.workDir,
    claims,
    signal: abort.signal,
    listener: listenTogether(listeners),
  });
  for (const listener of listeners.toReversed()) await listener.close();

  // A stopped run leaves within a second or two.
  const made = abort.signal.aborted ? { problem: 'No report: stopped.' } : await reportOfRun(flags.workDir);
  if (flags.json)
    console.log(
      printableJson({
        type: 'summary',
        resources: runs.map(({ resource, status }) => ({ ...resource, status })),
        ...made,
      }),
    );
  else
    console.log(
      `${summary(runs)}\n\n${'report' in made ? `Report: ${made.report}` : printable(made.problem)}`,
    );
  // At once: while Node would clear up, one more SIGTERM would end it by that signal.
  process.exit(runs.every(isComplete) ? 0 : 1);
}

/** @throws OffsiteError BadSpec where it cannot be a directory */
function makeWorkDir(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error;
    throw badSpec(`--work-dir ${path}: a file is in its place; it must be a directory`);
  }
}

const isComplete = (run: RunResource) => run.status.phase === 'Complete';
