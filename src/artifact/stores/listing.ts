// What a manifest says of an artifact's files, read before the artifact is here; nothing of it is trusted yet.
import { z } from 'zod';
import { listingBounds, listOf, parseJson } from '../../api/index.ts';

const manifestSchema = z.object({
  kind: z.string().optional(),
  files: listOf(
    z.object({
      path: z.string(),
      sizeBytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/**
 * The files that a manifest lists, itself not among them, and the kind of its artifact; undefined where it is another kind of document.
 * @throws Error where it is no JSON within the bounds of a listing
 */
export function listingIn(bytes: Uint8Array): z.output<typeof manifestSchema> | undefined {
  const parsed = manifestSchema.safeParse(parseJson(bytes, listingBounds));
  return parsed.success ? parsed.data : undefined;
}
