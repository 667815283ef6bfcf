// What a report needs of an artifact that lies in a store, fetched without the weights.
import { join } from 'node:path';
import type { Resource } from '../api/index.ts';
import { type Mirror, type Mounts, resolveUri, withStoreUris, workPlacesOf } from '../artifact/index.ts';
import { similarityFile } from '../emulator/index.ts';
import { analysisFile } from '../plugin/index.ts';
import { historyOf } from '../tuning/index.ts';

/**
 * Brings the small files that a report looks at from the stores of a resource's artifact and of its work, each bounded; never the
 * weights.
 * @returns why a store did not give them, or undefined where it did or where they lie in no store
 */
export async function bringFiles(
  resource: Resource,
  mounts: Mounts,
  mirror: Mirror,
): Promise<string | undefined> {
  const { output } = resource.spec;
  const directory = orNowhere(() =>
    resolveUri(output.uri, mounts, 'spec.output.uri', output.secretRef?.name),
  );
  const work = orNowhere(() => workPlacesOf(resource, mounts).own);
  const files = [
    ...(directory === undefined ? [] : [join(directory, 'manifest.json'), join(directory, similarityFile)]),
    ...(work === undefined ? [] : [historyOf(work), analysisFile(work)]),
  ];
  try {
    for (const file of files) await mirror.pullDocument(file);
    return undefined;
  } catch (error) {
    return `${output.uri} cannot be read from here: ${withStoreUris((error as Error).message, mounts.scratch)}`;
  }
}

/** Undefined for an address that leads nowhere here, which is said where it is read. */
function orNowhere(place: () => string): string | undefined {
  try {
    return place();
  } catch {
    return undefined;
  }
}
