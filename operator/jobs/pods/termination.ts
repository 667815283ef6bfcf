/**
 * What a worker leaves behind in its container's status when it ends (/dev/termination-log). The containers of a pod share
 * 12 KiB: where there are many, the message arrives cut off, and what is whole of it counts.
 */
import { z } from 'zod';
import { type ErrorReason, failureReasons } from '../../../src/api/index.ts';
import { isMapping } from '../json.ts';
import { type Pod, workerTerminated } from '../objects.ts';

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

/** Undefined where the container did not end, or left something else. */
export function terminationOf(pod: Pod): Termination | undefined {
  const text = workerTerminated(pod)?.message;
  if (text === undefined) return undefined;
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

/**
 * The beginning of a JSON object that was cut off, closed: its members that are whole, and the whole members of the one
 * that the cut went through, if that is an object too. A string among its own members, such as a failure's message, is kept
 * as far as it came.
 */
function wholeOf(text: string): string {
  const open: string[] = [];
  let [inString, isValue, whole] = [false, false, '{}'];
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (inString) {
      if (character === '\\') i++;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      open.push(character === '{' ? '}' : ']');
      isValue = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      if (isShallow(open)) whole = text.slice(0, i + 1) + closing(open);
    } else if (character === ',') {
      if (isShallow(open)) whole = text.slice(0, i) + closing(open);
      isValue = false;
    } else if (character === ':') isValue = true;
  }
  if (!inString || !isValue || open.length !== 1) return whole;
  // An escape that was cut through is no character.
  const rest = text.replace(/\\(u[0-9a-fA-F]{0,3})?$/, '');
  const cut = `${rest}…"}`;
  return isMapping(parse(cut)) ? cut : whole;
}

/** In the object itself, or in an object that is a member of it. */
const isShallow = (open: readonly string[]) => open.length <= 2 && open.every((bracket) => bracket === '}');

const closing = (open: readonly string[]) => open.toReversed().join('');

/** The reasons of the worker's exit codes, for a worker that could not say more. */
export const reasonOfExit: Readonly<Record<number, ErrorReason>> = {
  10: 'BadSpec',
  11: 'BadData',
  12: 'BadModel',
  13: 'GateFailed',
  14: 'EngineUnavailable',
  143: 'Cancelled',
};
