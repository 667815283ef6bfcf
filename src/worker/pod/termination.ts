import { writeFileSync } from 'node:fs';
import type { StageOutcome } from '../outcome.ts';

/** All containers of a pod share 12 KiB for such messages: with up to ten of them, this much is kept of each. */
const usualBytes = 1200;
/** More than 4,096 bytes Kubernetes never keeps. */
const mostBytes = 4000;

/**
 * What the pod leaves behind: on success the artifact and, as summary, as much of the result as there is room for (the
 * largest fields are left out first); on failure reason and message, cut where they are too long. What matters most
 * comes first, so that a message which is cut off on its way still says it.
 */
export function terminationMessage(stage: string, outcome: StageOutcome): string {
  if (!outcome.ok) {
    const { reason, message, exitCode } = outcome;
    return fitting(message, (text) => JSON.stringify({ ok: false, reason, exitCode, stage, message: text }));
  }
  const { artifact, ...summary } = outcome.status;
  const made = artifact === undefined ? undefined : digestFirst(artifact);
  const render = (fields: Record<string, unknown>, of = made) =>
    JSON.stringify({
      ok: true,
      ...(of !== undefined && { artifact: of }),
      stage,
      ...(Object.keys(fields).length > 0 && { summary: fields }),
    });
  const bySize = Object.entries(summary).sort(([, a], [, b]) => sizeOf(a) - sizeOf(b));
  while (bySize.length > 0 && Buffer.byteLength(render(Object.fromEntries(bySize))) > usualBytes)
    bySize.pop();
  const message = render(Object.fromEntries(bySize));
  if (Buffer.byteLength(message) <= mostBytes) return message;
  // An address of nothing but escapes: its digest says which artifact it is.
  return render({}, made && { ...made, uri: undefined });
}

function digestFirst(artifact: unknown): Record<string, unknown> {
  const { digest, sizeBytes, ...rest } = artifact as Record<string, unknown>;
  return { digest, sizeBytes, ...rest };
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
  if (Buffer.byteLength(render(text)) <= usualBytes) return render(text);
  const characters = [...text];
  let [fits, tooLong] = [0, characters.length];
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    const cut = `${characters.slice(0, middle).join('')}…`;
    if (Buffer.byteLength(render(cut)) <= usualBytes) fits = middle;
    else tooLong = middle;
  }
  return render(`${characters.slice(0, fits).join('')}…`);
}
