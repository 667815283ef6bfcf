// Verification of an adapter: its tensors, types and values, against its bundle where that is given.
import { join } from 'node:path';
import { Adapter as adapterSchema, badModel } from '../../api/index.ts';
import type { OpenedArtifact } from '../../artifact/index.ts';
import { openCheckpoint } from '../../checkpoint/index.ts';
import { bundleSlots, openBundle } from '../../emulator/index.ts';
import { adapterFile, adapterIn, checkLoraAlone, checkPeftConfig } from '../../plugin/index.ts';
import type { Found } from './found.ts';
import { checkValues } from './tensors.ts';

/** What no weight of any model is beyond; with the bundle at hand, changes are measured by its weights. */
const absurd = 1e6;

/** An adapter: against the bundle that it was trained on, or as far as it goes without. */
export function checkAdapter(artifact: OpenedArtifact, emulator: string | undefined): Found {
  if (emulator === undefined) return checkAlone(artifact);
  const bundle = openBundle(emulator);
  try {
    const adapter = adapterIn(artifact, {
      model: bundle.model,
      emulator: bundle.artifact.digest,
      bundle,
      slots: bundleSlots(bundle),
    });
    adapter.close();
    checkPeftConfig(artifact.directory, adapter.files['adapter_config.json'], artifact.checked);
    return { tensors: adapter.names.length, detail: `belongs to ${emulator}` };
  } finally {
    bundle.close();
  }
}

function checkAlone({ directory, manifest, checked }: OpenedArtifact): Found {
  const type = adapterSchema.safeParse(manifest.hyperparameters['adapter']);
  if (!type.success) throw badModel(`${directory}: its manifest.json names no type of adapter that is known`);
  const file = join(directory, adapterFile);
  const checkpoint = openCheckpoint(file, checked);
  try {
    for (const tensor of checkpoint.tensors.values()) {
      const { name, dtype } = tensor;
      if (dtype !== 'F32')
        throw badModel(`${file}: tensor ${name} is ${dtype}; an adapter's tensors are F32`);
      checkValues(tensor, (wanted, options) => checkpoint.read(wanted, options), file, absurd);
    }
    const implied = type.data.type === 'lora' ? checkLoraAlone(directory, checkpoint, type.data) : undefined;
    checkPeftConfig(directory, implied, checked);
    const { size } = checkpoint.tensors;
    return {
      tensors: size,
      detail: `${type.data.type}; give --emulator BUNDLE to check its tensors against it`,
    };
  } finally {
    checkpoint.close();
  }
}
