import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openPublisher, openTerminal } from '../progress/index.ts';
import { parseMounts } from './arguments.ts';
import { inOrder, loadManifests } from './manifests.ts';
import { writeReport } from './report.ts';
import { type RunResource, runResources } from './run.ts';
import { summaryTable } from './summary.ts';

interface RunFlags {
  filename: string[];
  workDir: string;
  mount: string[];
  nats?: string;
  json?: boolean;
}

/** `offsite run`: runs the manifests, shows their progress, writes the report; sets the exit code 0 or 1. */
export async function runCommand(flags: RunFlags): Promise<void> {
  const loaded = inOrder(loadManifests(flags.filename));
  const claims = parseMounts(flags.mount);
  mkdirSync(flags.workDir, { recursive: true });

  const abort = new AbortController();
  const stop = () => abort.abort();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, stop);

  const terminal = openTerminal({ json: flags.json ?? false });
  const publisher = flags.nats === undefined ? undefined : await openPublisher({ url: flags.nats });
  const runs = await runResources(loaded, {
    workDir: flags.workDir,
    claims,
    signal: abort.signal,
    listener: {
      event(resource, event) {
        terminal.event(resource, event);
        publisher?.publish(resource, event);
      },
      finished(run) {
        terminal.finished(run);
      },
    },
  });
  terminal.close();
  await publisher?.close();

  const report = writeReport(flags.workDir, join(flags.workDir, 'report.html'));
  if (flags.json) console.log(JSON.stringify({ type: 'summary', report, resources: runs }));
  else console.log(summaryTable(runs, report));
  process.exitCode = runs.every(isComplete) ? 0 : 1;
}

const isComplete = (run: RunResource) => run.status.phase === 'Complete';
