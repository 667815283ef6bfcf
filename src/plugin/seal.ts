// Conversion of LoRA adapters between PEFT's format and artifacts, both ways.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Adapter as adapterSchema, badModel } from '../api/index.ts';
import {
  type OpenedArtifact,
  openArtifact,
  refuseThere,
  sealWritten,
  type WrittenFiles,
  writeNewDirectory,
} from '../artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../checkpoint/index.ts';
import { type Bundle, bundleSlots, trainedLayers } from '../emulator/index.ts';
import { adapterOf } from '../tuning/index.ts';
import { adapterFile, checkedTensors } from './adapter.ts';
import { checkLoraAlone, checkPeftConfig } from './lora-alone.ts';
import { trainedIn } from './origin.ts';
import { openPeft, peftFiles } from './peft-adapter.ts';

/**
 * Makes an artifact of a LoRA adapter that PEFT trained on a bundle: all checks of PlugIn first, float16 and bfloat16 widened
 * to float32.
 * @param source what PEFT's save_pretrained has written
 * @param output where nothing is yet
 * @throws OffsiteError BadModel naming the tensor or the setting, BadSpec where something lies at the output
 */
export async function sealAdapter(source: string, bundle: Bundle, output: string): Promise<OpenedArtifact> {
  refuseThere(output, outputFlag);
  const { model, artifact } = bundle;
  const layers = trainedLayers(bundle.plan);
  const { type, checkpoint, digest, checkUnchanged } = openPeft(source, model.architecture, layers);
  try {
    const { tensors } = checkedTensors(trainedIn(source), checkpoint, {
      type,
      model,
      slots: bundleSlots(bundle),
      bundle,
      dtypes: ['F32', 'F16', 'BF16'],
    });
    let sealed = { digest: '' };
    const fill = (directory: string, files: WrittenFiles) => {
      const widened = tensors.map(({ name, shape }) => ({
        name,
        shape,
        dtype: 'F32' as const,
        bytes: () => encodeFloats(checkpoint.read(name), 'F32'),
      }));
      files.add(adapterFile, (path) => writeSafetensors(path, widened));
      for (const [name, text] of Object.entries(adapterOf(type).files(model.architecture, layers)))
        files.write(name, text);
      checkUnchanged();
      sealed = sealWritten(directory, files, {
        kind: 'Adapter',
        madeFrom: { emulator: artifact.digest, weights: digest },
        hyperparameters: { adapter: type },
      });
    };
    await writeNewDirectory(output, outputFlag, fill);
    return openArtifact(output, sealed);
  } finally {
    checkpoint.close();
  }
}

/**
 * Writes a LoRA adapter as PEFT and vLLM load it: the same tensors under their names, and settings written anew from its
 * manifest. It is no artifact: an artifact's tensors lie in one file.
 * @throws OffsiteError BadModel where it is no LoRA adapter, or not what its manifest says; BadSpec where something lies there
 */
export async function exportAdapter(directory: string, output: string): Promise<void> {
  const { manifest, checked } = openArtifact(directory, { kind: 'Adapter' });
  const type = adapterSchema.safeParse(manifest.hyperparameters['adapter']);
  if (!type.success || type.data.type !== 'lora')
    throw badModel(
      `${directory}: is an adapter of type ${type.data?.type ?? 'unknown'}; PEFT and vLLM load lora`,
    );
  refuseThere(output, outputFlag);
  const checkpoint = openCheckpoint(join(directory, adapterFile), checked);
  let config: string;
  try {
    config = checkLoraAlone(directory, checkpoint, type.data);
    checkPeftConfig(directory, config, checked);
  } finally {
    checkpoint.close();
  }
  const fill = (temporary: string) => {
    checked.copy(join(directory, adapterFile), join(temporary, peftFiles.weights));
    writeFileSync(join(temporary, peftFiles.config), config, { flag: 'wx' });
    // What was copied last is what was checked first.
    checked.checkUnchanged();
  };
  await writeNewDirectory(output, outputFlag, fill);
}

const outputFlag = '--output';
