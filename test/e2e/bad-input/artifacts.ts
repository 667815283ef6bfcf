import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { sealArtifact } from '../../../src/artifact/index.ts';
import { digestIn } from '../../support/offsite/index.ts';
import { setField } from '../../support/tiny/index.ts';
import { type Case, config, type Place, rewrite, type Tensors } from './case.ts';

const bundle = (name: string, change: Case['change'], message: RegExp): Case => ({
  name,
  kind: 'OffsiteTune',
  change,
  reason: 'BadModel',
  message,
});
/** Changes the adapter, and seals it again as someone would who means harm. */
const adapter = (name: string, change: (tensors: Tensors, place: Place) => void, message: RegExp): Case => ({
  name,
  kind: 'PlugIn',
  change: (place) => {
    rewrite(place.path('out/adapter/adapter.safetensors'), (tensors) => change(tensors, place));
    reseal(place, {});
  },
  reason: 'BadModel',
  message,
});
function reseal({ manifest, path }: Place, madeFrom: Record<string, string>): void {
  const file = path('out/adapter/manifest.json');
  const sealed = JSON.parse(readFileSync(file, 'utf8'));
  const { kind, hyperparameters, scores } = sealed;
  const { digest } = sealArtifact(path('out/adapter'), {
    ...{ kind, hyperparameters, scores },
    madeFrom: { ...sealed.madeFrom, ...madeFrom },
  });
  setField(manifest, 'spec.adapter.digest', digest);
}
const plugIn = (name: string, change: Case['change'], message: RegExp): Case => ({
  name,
  kind: 'PlugIn',
  change,
  reason: 'BadModel',
  message,
});
const transferTensor = 'model.layers.0.self_attn.q_proj.weight';

/** Bundles and adapters that were changed, belong elsewhere, or mean harm. */
export const artifactCases: Case[] = [
  bundle(
    'a bundle with another digest',
    ({ manifest }) => setField(manifest, 'spec.emulator.digest', `sha256:${'2'.repeat(64)}`),
    /emulator: .*digest.* sha256:[0-9a-f]{64}.*sha256:2{64}/,
  ),
  bundle(
    'a bundle whose file was changed',
    ({ path }) => {
      const bytes = readFileSync(path('out/emulator/model.safetensors'));
      bytes[bytes.length - 3]! ^= 1;
      writeFileSync(path('out/emulator/model.safetensors'), bytes);
    },
    /model\.safetensors: its sha256 is not the manifest's; it was changed/,
  ),
  bundle(
    'a bundle with a file more',
    ({ path }) => writeFileSync(path('out/emulator/more.txt'), ''),
    /more\.txt: is not in the manifest/,
  ),
  bundle(
    'a bundle with a file less',
    ({ path }) => rmSync(path('out/emulator/config.json')),
    /config\.json: is in the manifest but not there/,
  ),
  bundle(
    'a symlink out of the bundle',
    ({ path }) => {
      rmSync(path('out/emulator/config.json'));
      symlinkSync(path('model/config.json'), path('out/emulator/config.json'));
    },
    /config\.json: is no plain file/,
  ),
  bundle(
    'a manifest that is no JSON',
    ({ path }) => writeFileSync(path('out/emulator/manifest.json'), '{'),
    /emulator: its digest is sha256:[0-9a-f]{64}, expected sha256:[0-9a-f]{64}/,
  ),
  bundle(
    'no bundle at all',
    ({ path }) => rmSync(path('out/emulator'), { recursive: true }),
    /emulator: (holds no manifest\.json|there is no)/,
  ),
  bundle(
    'an adapter in place of the bundle',
    ({ manifest, path }) => {
      setField(manifest, 'spec.emulator', {
        uri: `file:${path('out/adapter')}`,
        digest: digestIn(path('out/adapter')),
      });
      setField(manifest, 'spec.output.uri', `file:${path('out/new')}`);
    },
    /is an artifact of kind Adapter, expected Emulator/,
  ),
  adapter(
    'a foreign tensor',
    (tensors) => {
      tensors.set('model.embed_tokens.weight', { shape: [1], dtype: 'F32', values: new Float32Array(1) });
    },
    /tensor model\.embed_tokens\.weight is foreign: only tensors of the transfer layers/,
  ),
  adapter(
    'a tensor of a layer that is no transfer layer',
    (tensors) => {
      tensors.set('model.layers.2.mlp.up_proj.weight', {
        shape: [64, 32],
        dtype: 'F32',
        values: new Float32Array(2048),
      });
    },
    /tensor model\.layers\.2\.mlp\.up_proj\.weight is foreign/,
  ),
  adapter(
    'a tensor of another shape',
    (tensors) => {
      tensors.get(transferTensor)!.shape = [16, 64];
    },
    /q_proj\.weight is \[16,64\], .*\[32,32\]/,
  ),
  adapter(
    'a tensor of another dtype',
    (tensors) => {
      tensors.get(transferTensor)!.dtype = 'F16';
    },
    /q_proj\.weight is F16; an adapter's tensors are F32/,
  ),
  adapter(
    'a missing tensor',
    (tensors) => {
      tensors.delete(transferTensor);
    },
    /lacks tensor model\.layers\.0\.self_attn\.q_proj\.weight/,
  ),
  adapter(
    'NaN in the adapter',
    (tensors) => {
      tensors.get(transferTensor)!.values[3] = Number.NaN;
    },
    /q_proj\.weight holds NaN \(element 3\); values must be finite/,
  ),
  adapter(
    'infinity in the adapter',
    (tensors) => {
      tensors.get(transferTensor)!.values[0] = Number.NEGATIVE_INFINITY;
    },
    /q_proj\.weight holds -Infinity/,
  ),
  plugIn(
    'an adapter from another emulator',
    (place) => reseal(place, { emulator: `sha256:${'3'.repeat(64)}` }),
    /was trained on emulator sha256:3{64}, not on sha256:/,
  ),
  plugIn(
    'a path that leaves the adapter',
    ({ manifest, path }) => {
      const file = path('out/adapter/manifest.json');
      const sealed = JSON.parse(readFileSync(file, 'utf8'));
      sealed.files[0].path = '../model/config.json';
      writeFileSync(file, JSON.stringify(sealed));
      setField(manifest, 'spec.adapter.digest', digestIn(path('out/adapter')));
    },
    /the name "\.\.\/model\/config\.json" has a part "\.\." and leaves its directory/,
  ),
  plugIn(
    'a second file of tensors',
    (place) => {
      cpSync(place.path('out/adapter/adapter.safetensors'), place.path('out/adapter/more.safetensors'));
      reseal(place, {});
    },
    /holds more\.safetensors, which no artifact of kind Adapter has/,
  ),
  plugIn(
    'another model than the one of the bundle',
    ({ path }) => config(path, { rms_norm_eps: 1e-4 }),
    /spec\.emulator: the bundle was made from model sha256:[0-9a-f]{64}, not from sha256:/,
  ),
  {
    name: 'a gate that does not hold',
    kind: 'PlugIn',
    change: ({ manifest }) => {
      // The adapter's change taken back wholly: the plug-in is the full model, and not strictly better than anything equal.
      setField(manifest, 'spec.coefficient', '0');
      setField(manifest, 'spec.gates', { plugInAboveEmulatorFineTuned: {} });
    },
    reason: 'GateFailed',
    message:
      /gate tiny\/plugInAboveEmulatorFineTuned: acc: plugIn 0\.\d{4}, emulatorFineTuned 0\.\d{4}, tolerance 0; nothing was released/,
  },
];
