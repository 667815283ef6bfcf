// The command that prints the digest by which a spec pins a model.
import { digestOf } from '../artifact/index.ts';
import { parsedFiles } from '../model/index.ts';

/** `offsite digest PATH`: a model's digest, as `spec.model.digest` wants it. */
export function printDigest(path: string, { json }: { json?: boolean }): void {
  const digest = digestOf(path, { parsed: parsedFiles });
  console.log(json ? JSON.stringify({ path, digest }) : digest);
}
