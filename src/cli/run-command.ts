// The command that runs manifests on this machine: from its flags to progress, summary, report and exit code.
import { printable, printableJson } from '../api/index.ts';
import { openTerminal } from '../progress/index.ts';
import { parseKeys, parseMounts } from './arguments.ts';
import { inOrder, loadManifests } from './manifests.ts';
import { listenTogether, natsListener } from './nats-listener.ts';
import { print } from './output.ts';
import { keepRun, reportOfRun } from './report.ts';
import { type RunResource, runResources } from './run.ts';
import { stopOnSignals } from './stopping.ts';
import { summary } from './summary.ts';
import { openWorkDir } from './work-dir.ts';

interface RunFlags {
  filename: string[];
  workDir: string;
  mount: string[];
  keys: string[];
  nats?: string;
  natsCredentials?: string;
  json?: boolean;
}

/** `offsite run`: runs the manifests, shows their progress, writes the report; sets the exit code 0 or 1. */
export async function runCommand(flags: RunFlags): Promise<void> {
  const loaded = inOrder(loadManifests(flags.filename));
  const claims = parseMounts(flags.mount);
  const keyPlace = parseKeys(flags.keys);
  const held = await openWorkDir(flags.workDir, loaded);
  keepRun(flags.workDir, claims, loaded);

  const atOnce = new AbortController();
  const stop = stopOnSignals(() => atOnce.abort());
  const terminal = openTerminal({ json: flags.json ?? false });
  const listeners = [terminal, ...natsListener(flags, loaded, terminal)];
  const runs = await runResources(loaded, {
    ...{ workDir: flags.workDir, claims, keyPlace, held },
    signal: stop,
    atOnce: atOnce.signal,
    listener: listenTogether(listeners),
  }).finally(async () => {
    for (const listener of listeners.toReversed()) await listener.close();
  });

  await held.check();
  // A stopped run leaves within a second or two.
  const made = stop.aborted ? { problem: 'No report: stopped.' } : await reportOfRun(flags.workDir);
  await print(
    flags.json
      ? printableJson({
          type: 'summary',
          resources: runs.map(({ resource, status }) => ({ ...resource, status })),
          ...made,
        })
      : `${summary(runs)}

${'report' in made ? `Report: ${made.report}` : printable(made.problem)}`,
  );
  await held.release();
  // At once: while Node would clear up, one more SIGTERM would end it by that signal.
  process.exit(runs.every(isComplete) ? 0 : 1);
}

const isComplete = (run: RunResource) => run.status.phase === 'Complete';
