// What a worker leaves behind in its container's status when it ends. The containers of a pod share 12 KiB: where there are
// many, the message arrives cut off, and what is whole of it counts.
import { z } from 'zod';
import { wholeOf } from './cut-json.ts';
import { failureReasons } from './exit-codes.ts';

/** How a stage ended. */
export type Ending = { readonly status: Readonly<Record<string, unknown>> } & (
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly message: string; readonly exitCode: number }
);

/** All containers of a pod share 12 KiB for such messages: with up to ten of them, this much is kept of each. */
const usualBytes = 1200;
/** More than 4,096 bytes Kubernetes never keeps. */
const mostBytes = 4000;

/**
 * On success the artifact and, as summary, as much of the result as there is room for (the
 * largest fields are left out first); on failure reason and message, cut where they are too long. What matters most
 * comes first, so that a message which is cut off on its way still says it.
 */
export function writeTermination(stage: string, outcome: Ending): string {
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

// Of an artifact the digest comes first: address and size may have been cut off.
const artifact = z.object({
  digest: z.string(),
  uri: z.string().exactOptional(),
  sizeBytes: z.number().exactOptional(),
});

const schema = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    artifact: artifact.exactOptional(),
    summary: z.record(z.string(), z.unknown()).exactOptional(),
  }),
  z.object({
    ok: z.literal(false),
    // Conditions, events and metrics go by it: another word, such as Complete, is not for a pod to choose.
    reason: z
      .string()
      .regex(/^[A-Za-z]+$/)
      .transform((said) => failureReasons.find((known) => known === said) ?? 'PodFailed'),
    message: z.string().default('(its message was cut off)'),
  }),
]);

export type Termination = z.output<typeof schema> & {
  /** Whether it was cut off on its way: what is not in it may have been. */
  readonly isCut: boolean;
};
export type Success = Extract<Termination, { ok: true }>;

/** What was left behind; undefined where it is nothing of a worker. */
export function readTermination(text: string): Termination | undefined {
  const whole = parse(text);
  const { data } = schema.safeParse(whole ?? parse(wholeOf(text)));
  return data && { ...data, isCut: whole === undefined };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
