import { join } from 'node:path';
import { type Mirror, type Mounts, resolveUri, withStoreUris } from '../artifact/index.ts';
import { similarityFile } from '../emulator/index.ts';
import { analysisFile } from '../plugin/index.ts';
import { checkpointsOf, historyFile } from '../tuning/index.ts';

/** Where a resource's artifact goes, as far as anybody wrote it. */
export interface WrittenOutput {
  readonly uri?: string;
  readonly secretRef?: { readonly name?: string };
}

/**
 * Brings the small files that a report looks at from the store of a resource's artifact; never the weights.
 * @returns why the store did not give them, or undefined where it did or where the artifact lies in no store
 */
export async function bringFiles(
  output: WrittenOutput,
  mounts: Mounts,
  mirror: Mirror,
): Promise<string | undefined> {
  const directory = placeOf(output, mounts);
  if (directory === undefined || !mirror.mirrors(directory)) return undefined;
  const files = [join(directory, 'manifest.json'), join(directory, similarityFile)];
  const beside = [join(checkpointsOf(directory), historyFile), analysisFile(directory)];
  try {
    for (const file of [...files, ...beside]) await mirror.pull(file, { exact: false });
    return undefined;
  } catch (error) {
    return `${output.uri} cannot be read from here: ${withStoreUris((error as Error).message, mounts.scratch)}`;
  }
}

/** Undefined for an address that leads nowhere here, which is said where it is read. */
function placeOf({ uri = '', secretRef }: WrittenOutput, mounts: Mounts): string | undefined {
  try {
    return resolveUri(uri, mounts, 'spec.output.uri', secretRef?.name);
  } catch {
    return undefined;
  }
}
