// The allowlist of file names for artifacts of each kind.
import { badModel } from '../api/index.ts';
import type { OpenedArtifact } from '../artifact/index.ts';
import { mayBeCompanion } from './companions.ts';

const tokenizer = /^(tokenizer|tokenizer_config)\.json$/;

/** What an artifact of a kind may hold: data, and nothing that a program of others could run. */
const known: Readonly<Record<OpenedArtifact['manifest']['kind'], (name: string) => boolean>> = {
  Emulator: (name) =>
    /^(model\.safetensors|config\.json|similarity\.json|emulator\.json)$/.test(name) ||
    tokenizer.test(name) ||
    mayBeCompanion(name),
  Adapter: (name) => /^(adapter\.safetensors|adapter_config\.json)$/.test(name),
  Model: (name) =>
    /^(model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|config\.json)$/.test(name) ||
    tokenizer.test(name) ||
    mayBeCompanion(name),
  PooledStates: (name) => name === 'states.safetensors',
  Observations: (name) => /^(forward|backward)-\d{1,4}(\.sums)?\.safetensors$/.test(name),
};

/** @throws OffsiteError BadModel at a file that no artifact of this kind has */
export function checkFileNames({
  directory,
  manifest,
}: Pick<OpenedArtifact, 'directory' | 'manifest'>): void {
  const foreign = manifest.files.find(({ path }) => !known[manifest.kind](path));
  if (foreign !== undefined)
    throw badModel(`${directory}: holds ${foreign.path}, which no artifact of kind ${manifest.kind} has`);
}
