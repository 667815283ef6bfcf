// Schemas of lists and maps from outside that stop at the first wrong member, so that faults take bounded memory.
import { z } from 'zod';

/**
 * A list from outside, whose check stops at the first wrong entry: zod alone makes an issue of every one, and a few million
 * take all memory.
 */
export const listOf = <T extends z.ZodType>(
  entry: T,
  list: z.ZodArray<z.ZodUnknown> = z.array(z.unknown()),
) =>
  list.transform((entries, context): z.output<T>[] => {
    const read: z.output<T>[] = [];
    for (const [place, value] of entries.entries()) {
      const result = entry.safeParse(value);
      if (!result.success) return wrong(context, place, result.error);
      read.push(result.data);
    }
    return read;
  });

/** An object of any names from outside, whose check stops at the first wrong member. */
export const mapOf = <T extends z.ZodType>(member: T) =>
  z.record(z.string(), z.unknown()).transform((members, context): Record<string, z.output<T>> => {
    const read: [string, z.output<T>][] = [];
    for (const [name, value] of Object.entries(members)) {
      const result = member.safeParse(value);
      if (!result.success) return wrong(context, name, result.error);
      read.push([name, result.data]);
    }
    return Object.fromEntries(read);
  });

function wrong(context: z.RefinementCtx, place: PropertyKey, { issues }: z.ZodError): never {
  const { message, path } = issues[0]!;
  context.addIssue({ code: 'custom', message, path: [place, ...path], continue: false });
  return z.NEVER;
}
