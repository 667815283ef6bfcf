// The registry of store protocols, by URI scheme.
import type { StoreScheme } from '../../api/index.ts';
import type { StoreCredentials } from './credentials.ts';
import type { Store } from './store.ts';

/** A store's file: its SDK is loaded when the first place of it is named. */
const files: Readonly<Record<StoreScheme, () => Promise<StoreFile>>> = {
  s3: () => import('./s3.ts'),
  https: () => import('./https.ts'),
  hf: () => import('./hf.ts'),
};

interface StoreFile {
  open(credentials: StoreCredentials, environment: NodeJS.ProcessEnv): Store;
}

export async function openStore(
  scheme: StoreScheme,
  credentials: StoreCredentials,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Store> {
  return (await files[scheme]()).open(credentials, environment);
}
