// The command that verifies an artifact or a plain model from outside.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badModel, printable, printableJson } from '../../api/index.ts';
import {
  checkSignature,
  isThere,
  type OpenedArtifact,
  openArtifact,
  publicKeysOf,
} from '../../artifact/index.ts';
import { checkFileNames, openHashed, openModel } from '../../model/index.ts';
import { fingerprintOf } from '../fingerprint.ts';
import { keyIn } from '../key-file.ts';
import { checkAdapter } from './adapter.ts';
import { checkBundle } from './bundle.ts';
import type { Found } from './found.ts';
import { checkModel } from './model.ts';
import { checkTensorFiles } from './tensors.ts';

export interface VerifyFlags {
  emulator?: string;
  digest?: string;
  key?: string;
  json?: boolean;
}

interface Verified extends Found {
  kind: string;
  digest: string;
  /** The key that signed it, where one was asked for. */
  key?: string;
  sizeBytes?: number;
}

/**
 * `offsite verify DIR`: is what came from outside what it says that it is, and what it must be? All that can be found without
 * computing: nothing is trained or evaluated.
 * @throws OffsiteError BadModel with the first thing that is wrong
 */
export async function verifyCommand(directory: string, flags: VerifyFlags): Promise<void> {
  const verified = await verify(directory, flags);
  if (flags.json) {
    console.log(printableJson({ path: directory, ...verified }));
    return;
  }
  const { kind, digest, key, sizeBytes, tensors, detail, remarks = [] } = verified;
  const size = sizeBytes === undefined ? '' : `${sizeBytes} bytes, `;
  const lines = [`${kind} ${directory}: good`, `  ${digest}`, `  ${size}${tensors} tensors; ${detail}`];
  if (key !== undefined) lines.push(`  signed by key ${key}`);
  lines.push(...remarks.map((remark) => `  ${remark}`));
  console.log(lines.map(printable).join('\n'));
}

async function verify(directory: string, flags: VerifyFlags): Promise<Verified> {
  const keys = flags.key === undefined ? undefined : keyIn(flags.key, publicKeysOf);
  if (!isThere(join(directory, 'manifest.json'))) return verifyPlain(directory, flags);
  const artifact = openArtifact(directory, { digest: flags.digest });
  const { manifest, digest, sizeBytes } = artifact;
  const key = keys && fingerprintOf(checkSignature(directory, { digest, kind: manifest.kind }, keys));
  checkFileNames(artifact);
  const found = await checks[artifact.manifest.kind](artifact, flags);
  // What was read last is what was checked first.
  artifact.checked.checkUnchanged();
  return { kind: manifest.kind, digest, ...(key && { key }), sizeBytes, ...found };
}

const checks: Readonly<
  Record<
    OpenedArtifact['manifest']['kind'],
    (artifact: OpenedArtifact, flags: VerifyFlags) => Found | Promise<Found>
  >
> = {
  Emulator: checkBundle,
  Adapter: (artifact, { emulator }) => checkAdapter(artifact, emulator),
  Model: checkRelease,
  PooledStates: checkFinite,
  Observations: checkFinite,
};

async function checkRelease({ directory, checked }: OpenedArtifact): Promise<Found> {
  const model = openHashed(directory, checked);
  try {
    return await checkModel(model, directory);
  } finally {
    model.close();
  }
}

function checkFinite(artifact: OpenedArtifact): Found {
  return { tensors: checkTensorFiles(artifact), detail: 'every value is finite' };
}

/** A model as it comes from elsewhere, without a manifest; or what else lies there, by its name. */
async function verifyPlain(directory: string, { digest, key }: VerifyFlags): Promise<Verified> {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) throw badModel(`${directory}: there is no such file or directory`);
  if (isThere(join(directory, 'adapter_config.json')))
    throw badModel(`${directory}: is an adapter of PEFT and no artifact yet; offsite seal makes it one`);
  if (key !== undefined)
    throw badModel(`${directory}: holds no manifest.json, and only artifacts are signed; leave out --key`);
  const isModel = !stat.isDirectory() || isThere(join(directory, 'config.json'));
  if (!isModel && !holdsGguf(directory))
    throw badModel(
      `${directory}: holds neither a manifest.json (an artifact's) nor a config.json or .gguf file (a model's)`,
    );
  const model = openModel(directory, { digest, field: '--digest' });
  try {
    const found = await checkModel(model, directory);
    model.checkUnchanged();
    return { kind: 'Model without a manifest', digest: model.digest, ...found };
  } finally {
    model.close();
  }
}

const holdsGguf = (directory: string) => readdirSync(directory).some((name) => name.endsWith('.gguf'));
