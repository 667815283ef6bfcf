// What an output lies in: an artifact around it would hold a file that is not its own, and no reader would take it any more.
import { dirname } from 'node:path';
import { badSpec } from '../../api/index.ts';
import { type Manifest, peekManifest } from '../manifest/manifest.ts';

/**
 * Nothing may be made inside an artifact of ours; anybody's other manifest.json is none.
 * @param directories that the output lies in: those above it on a disk when absent
 * @param field names the output in errors
 * @throws OffsiteError BadSpec naming the artifact
 */
export function refuseInside(output: string, field: string, directories = directoriesAbove(output)): void {
  for (const directory of directories) {
    const found = artifactAt(directory);
    if (found === undefined) continue;
    throw badSpec(
      `${field}: ${output} lies inside ${directory}, which is an artifact of kind ${found.manifest.kind} (${found.digest}), and its readers refuse every file that is not its own: choose a place outside of it`,
    );
  }
}

function directoriesAbove(path: string): string[] {
  const above = dirname(path);
  return above === path ? [] : [above, ...directoriesAbove(above)];
}

function artifactAt(directory: string): { manifest: Manifest; digest: string } | undefined {
  try {
    return peekManifest(directory);
  } catch {
    // Another one's file, or one that may not be read here.
    return undefined;
  }
}
