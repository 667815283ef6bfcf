// A pod's settings: its environment, and what is mounted at the places that it names.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { heardIn, natsFiles } from '../../api/index.ts';
import { isThere } from '../../artifact/index.ts';

/** What the environment says, with what lies at the places that it names. */
export interface PodSettings extends Omit<ReturnType<typeof heardIn>, 'claims' | 'nats'> {
  /** The directory of each mounted claim. */
  claims: Record<string, string>;
  claimsDirectory: string;
  nats:
    | { url: string; credentials: string | undefined; certificateAuthority: string | undefined }
    | undefined;
}

export function podSettings(environment: NodeJS.ProcessEnv): PodSettings {
  const { claims: claimsDirectory, nats: natsDirectory, ...heard } = heardIn(environment);
  const names = isThere(claimsDirectory) ? readdirSync(claimsDirectory) : [];
  const ifThere = (file: string) => {
    const path = join(natsDirectory, file);
    return isThere(path) ? path : undefined;
  };
  const { natsUrl: url } = heard;
  return {
    ...heard,
    claims: Object.fromEntries(names.map((name) => [name, join(claimsDirectory, name)])),
    claimsDirectory,
    nats:
      url === undefined
        ? undefined
        : {
            url,
            credentials: ifThere(natsFiles.credentials),
            certificateAuthority: ifThere(natsFiles.authority),
          },
  };
}
