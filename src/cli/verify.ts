import { badModel, printable, printableJson } from '../api/index.ts';
import { openArtifact } from '../artifact/index.ts';
import { openCheckpoint } from '../checkpoint/index.ts';
import { openBundle } from '../emulator/index.ts';
import { openAdapter } from '../plugin/index.ts';

interface VerifyFlags {
  emulator?: string;
  digest?: string;
  json?: boolean;
}

interface Verified {
  kind: string;
  digest: string;
  sizeBytes: number;
  tensors: number;
  detail: string;
}

/** `offsite verify DIR`: is this bundle, adapter or model what its manifest says, and are its tensors what they must be? */
export function verifyCommand(directory: string, flags: VerifyFlags): void {
  const { manifest, digest, sizeBytes } = openArtifact(directory, { digest: flags.digest });
  const check = checks[manifest.kind];
  const verified: Verified = { kind: manifest.kind, digest, sizeBytes, ...check(directory, flags) };
  if (flags.json) {
    console.log(printableJson({ path: directory, ...verified }));
    return;
  }
  const { kind, tensors, detail } = verified;
  const lines = [
    `${kind} ${directory}: good`,
    `  ${digest}`,
    `  ${sizeBytes} bytes, ${tensors} tensors; ${detail}`,
  ];
  console.log(lines.map(printable).join('\n'));
}

type Check = (directory: string, flags: VerifyFlags) => Pick<Verified, 'tensors' | 'detail'>;

const checks: Readonly<Record<'Emulator' | 'Adapter' | 'Model' | 'PooledStates', Check>> = {
  Emulator(directory) {
    const bundle = openBundle(directory);
    try {
      for (const name of bundle.model.tensors.keys()) bundle.model.read(name);
      const { kept, transferLayers, source } = bundle.plan;
      const detail = `${kept.length} layers kept of ${bundle.model.architecture.depth}, ${source.length} positions, transfer layers ${transferLayers.join(', ')}`;
      return { tensors: bundle.model.tensors.size, detail };
    } finally {
      bundle.close();
    }
  },

  Adapter(directory, { emulator }) {
    if (emulator === undefined)
      return {
        tensors: countTensors(directory),
        detail: 'give --emulator BUNDLE to check its tensors against it',
      };
    const bundle = openBundle(emulator);
    try {
      const adapter = openAdapter(directory, {
        model: bundle.model,
        emulator: bundle.artifact.digest,
        transferLayers: bundle.plan.transferLayers,
      });
      adapter.close();
      return { tensors: adapter.names.length, detail: `belongs to ${emulator}` };
    } finally {
      bundle.close();
    }
  },

  Model: (directory) => ({
    tensors: countTensors(directory, { masks: true }),
    detail: 'every value is finite',
  }),
  PooledStates: (directory) => ({ tensors: countTensors(directory), detail: 'every value is finite' }),
};

/**
 * Reads every tensor of a checkpoint that stands in the artifact.
 * @param masks whether masks and positions may stand beside the weights, as they do in old checkpoints
 * @throws OffsiteError BadModel at a value that is not finite
 */
function countTensors(directory: string, { masks = false } = {}): number {
  const { manifest } = openArtifact(directory);
  let count = 0;
  for (const { path } of manifest.files.filter((file) => file.path.endsWith('.safetensors'))) {
    const checkpoint = openCheckpoint(`${directory}/${path}`);
    try {
      for (const { name, dtype } of checkpoint.tensors.values()) {
        count += 1;
        if (masks && /^(I\d+|U8|BOOL)$/.test(dtype)) continue;
        if (!checkpoint.read(name).every(Number.isFinite))
          throw badModel(`${directory}/${path}: tensor ${name} holds NaN or infinity`);
      }
    } finally {
      checkpoint.close();
    }
  }
  return count;
}
