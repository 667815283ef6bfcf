// What a report needs of an artifact that lies in a store, fetched without the weights.
import { join } from 'node:path';
import {
  type Mirror,
  type Mounts,
  resolveUri,
  type WorkOwner,
  withStoreUris,
  workPlacesOf,
} from '../artifact/index.ts';
import { similarityFile } from '../emulator/index.ts';
import { analysisFile } from '../plugin/index.ts';
import { historyOf } from '../tuning/index.ts';

/** What a cluster says of a resource whose report is wanted; nothing of it is checked yet. */
export interface WrittenResource {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: { readonly output?: WrittenPlace; readonly work?: WrittenPlace };
}

interface WrittenPlace {
  readonly uri?: string;
  readonly secretRef?: { readonly name?: string };
}

/**
 * Brings the small files that a report looks at from the stores of a resource's artifact and of its work, each bounded; never the
 * weights.
 * @returns why a store did not give them, or undefined where it did or where they lie in no store
 */
export async function bringFiles(
  resource: WrittenResource,
  mounts: Mounts,
  mirror: Mirror,
): Promise<string | undefined> {
  const { output = {} } = resource.spec;
  const directory = orNowhere(() =>
    resolveUri(output.uri ?? '', mounts, 'spec.output.uri', output.secretRef?.name),
  );
  // What is wrong in it is said where it is read.
  const work = orNowhere(() => workPlacesOf(resource as WorkOwner, mounts).own);
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
