import { writeFileSync } from 'node:fs';
import type { StageOutcome } from './outcome.ts';

/** Kubernetes keeps 4,096 bytes of it. */
const mostBytes = 4000;

/**
 * What the pod leaves behind: on success the artifact and, as summary, as much of the result as there is room for (the
 * largest fields are left out first); on failure reason and message, cut where they are too long.
 */
export function terminationMessage(stage: string, outcome: StageOutcome): string {
  if (!outcome.ok) {
    const { reason, message, exitCode } = outcome;
    return fitting(message, (text) => JSON.stringify({ ok: false, stage, reason, message: text, exitCode }));
  }
  const { artifact, ...summary } = outcome.status;
  const render = (fields: Record<string, unknown>) =>
    JSON.stringify({
      ok: true,
      stage,
      ...(artifact !== undefined && { artifact }),
      ...(Object.keys(fields).length > 0 && { summary: fields }),
    });
  const bySize = Object.entries(summary).sort(([, a], [, b]) => sizeOf(a) - sizeOf(b));
  while (Buffer.byteLength(render(Object.fromEntries(bySize))) > mostBytes) bySize.pop();
  return render(Object.fromEntries(bySize));
}

/** A pod without that file (a worker started by hand) is no reason to fail. */
export function writeTermination(file: string, message: string): boolean {
  try {
    writeFileSync(file, message);
    return true;
  } catch {
    return false;
  }
}

const sizeOf = (value: unknown) => JSON.stringify(value)?.length ?? 0;

/** The longest beginning of `text` with which the rendered message fits. */
function fitting(text: string, render: (text: string) => string): string {
  if (Buffer.byteLength(render(text)) <= mostBytes) return render(text);
  const characters = [...text];
  let [fits, tooLong] = [0, characters.length];
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    const cut = `${characters.slice(0, middle).join('')}…`;
    if (Buffer.byteLength(render(cut)) <= mostBytes) fits = middle;
    else tooLong = middle;
  }
  return render(`${characters.slice(0, fits).join('')}…`);
}
