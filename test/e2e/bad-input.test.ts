// Bad input through the real CLI: every case ends with its reason, the worker's exit code and a message that says which file,
// field or row is wrong and what is right; and no message quotes a row. All cases are resources of one run.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, openCheckpoint, writeSafetensors } from '../../src/checkpoint/index.ts';
import { digestIn, failureOf, offsite } from '../offsite/index.ts';
import { type Manifest, setField, tinyManifests, writeManifests, writeTinyProject } from '../tiny/index.ts';

/** Stands in every bad row; it must not stand in any message. */
const secret = 'XYZZY-PRIVATE';
const codes: Record<string, number> = {
  BadSpec: 10,
  BadData: 11,
  BadModel: 12,
  GateFailed: 13,
  AccessDenied: 1,
};

const root = mkdtempSync(join(tmpdir(), 'offsite-bad-input-'));
const base = join(root, 'base');
const work = join(root, 'work');
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What a case may change: its own copy of a good project, and the manifest of its kind. */
interface Place {
  manifest: Manifest;
  path: (...parts: string[]) => string;
}

interface Case {
  name: string;
  kind: keyof typeof stageOf;
  change: (place: Place) => void;
  reason: 'BadSpec' | 'BadData' | 'BadModel' | 'GateFailed';
  message: RegExp;
}

const stageOf = { EmulatorBuild: 'build', OffsiteTune: 'tune', PlugIn: 'plug' } as const;

// ---- a wrong model

const model = (name: string, change: Case['change'], message: RegExp): Case => ({
  name,
  kind: 'EmulatorBuild',
  change,
  reason: 'BadModel',
  message,
});
const config = (path: Place['path'], change: Record<string, unknown>) => {
  const file = path('model/config.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
};
/** Writes model.safetensors again with one tensor changed, left out or put beside the others. */
function rewrite(file: string, change: (tensors: Tensors) => void): void {
  const checkpoint = openCheckpoint(file);
  const tensors: Tensors = new Map(
    [...checkpoint.tensors.values()].map(({ name, shape, dtype }) => [
      name,
      { shape, dtype: dtype as 'F32', values: checkpoint.read(name) },
    ]),
  );
  checkpoint.close();
  change(tensors);
  writeSafetensors(
    file,
    [...tensors].map(([name, { values, ...rest }]) => ({
      name,
      ...rest,
      bytes: () => encodeFloats(values, rest.dtype),
    })),
  );
}
type Tensors = Map<string, { shape: readonly number[]; dtype: 'F32' | 'F16' | 'BF16'; values: Float32Array }>;

const modelCases: Case[] = [
  model(
    'missing model',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'file:nowhere/model'),
    /nowhere\/model: there is no such file or directory/,
  ),
  model(
    'model digest',
    ({ manifest }) => setField(manifest, 'spec.model.digest', `sha256:${'0'.repeat(64)}`),
    /spec\.model\.digest: the digest of .*model is sha256:[0-9a-f]{64}, expected sha256:0{64}/,
  ),
  model(
    'empty model directory',
    ({ path }) => rmSync(path('model/model.safetensors')),
    /model: holds no model\.safetensors, model\.safetensors\.index\.json or \.gguf file/,
  ),
  model(
    'truncated safetensors',
    ({ path }) => truncateSync(path('model/model.safetensors'), 100_000),
    /model\.safetensors: tensor \S+ ends at byte \d+, the file at 100000; it is truncated/,
  ),
  model(
    'safetensors of zero length',
    ({ path }) => truncateSync(path('model/model.safetensors'), 0),
    /model\.safetensors: is 0 bytes long/,
  ),
  model(
    'header larger than the file',
    ({ path }) => writeFileSync(path('model/model.safetensors'), Buffer.from('ffffff0000000000', 'hex')),
    /its header claims 16777215 bytes, the file has 8/,
  ),
  model(
    'a directory in place of the file',
    ({ path }) => {
      rmSync(path('model/model.safetensors'));
      mkdirSync(path('model/model.safetensors'));
    },
    /model\.safetensors: is not a file/,
  ),
  model(
    'NaN weights',
    ({ path }) =>
      rewrite(path('model/model.safetensors'), (tensors) => {
        tensors.get('model.layers.2.mlp.up_proj.weight')!.values[7] = Number.NaN;
      }),
    /tensor model\.layers\.2\.mlp\.up_proj\.weight holds NaN \(element 7\); a weight must be finite/,
  ),
  model(
    'a tensor is missing',
    ({ path }) =>
      rewrite(path('model/model.safetensors'), (tensors) => {
        tensors.delete('model.layers.3.self_attn.q_proj.weight');
      }),
    /has no tensor model\.layers\.3\.self_attn\.q_proj\.weight, which its config\.json asks for/,
  ),
  model(
    'another shape',
    ({ path }) => config(path, { intermediate_size: 65 }),
    /tensor model\.layers\.0\.mlp\.gate_proj\.weight is \[64,32\], its config\.json asks for \[65,32\]/,
  ),
  model(
    'unknown architecture',
    ({ path }) => config(path, { architectures: ['MambaForCausalLM'] }),
    /config\.json: architectures: MambaForCausalLM is not supported \(.*LlamaForCausalLM.* are\)/,
  ),
  model(
    'no architecture',
    ({ path }) => config(path, { architectures: undefined }),
    /config\.json: architectures: missing is not supported/,
  ),
  model(
    'a field of the wrong type',
    ({ path }) => config(path, { hidden_size: 'wide' }),
    /config\.json: hidden_size: /,
  ),
  model(
    'config.json is no JSON',
    ({ path }) => writeFileSync(path('model/config.json'), '{'),
    /config\.json: is not JSON/,
  ),
  model(
    'config.json is a list',
    ({ path }) => writeFileSync(path('model/config.json'), '[]'),
    /config\.json: /,
  ),
  model('no tokenizer', ({ path }) => rmSync(path('model/tokenizer.json')), /holds no tokenizer\.json/),
  model(
    'tokenizer.json is no JSON',
    ({ path }) => writeFileSync(path('model/tokenizer.json'), '{'),
    /tokenizer\.json: is not JSON/,
  ),
  model(
    'tokenizer.json is something else',
    ({ path }) => writeFileSync(path('model/tokenizer.json'), '{"model": 5}'),
    /tokenizer\.json: the tokenizer cannot be used/,
  ),
];

// ---- wrong rows

const rowsOf = {
  OffsiteTune: {
    place: 'data/train.jsonl',
    good: { question: `${secret}?`, choices: ['red', secret], answer: 1 },
  },
};
const train = (name: string, rows: (good: string) => string | Uint8Array, message: RegExp): Case => ({
  name,
  kind: 'OffsiteTune',
  change: ({ path }) => {
    const content = rows(JSON.stringify(rowsOf.OffsiteTune.good));
    writeFileSync(path(rowsOf.OffsiteTune.place), content);
  },
  reason: 'BadData',
  message,
});
const row = (fields: object) => JSON.stringify({ ...rowsOf.OffsiteTune.good, ...fields });

const dataCases: Case[] = [
  train('empty data', () => '', /train\.jsonl: the file is empty; it needs at least one row/),
  train(
    'malformed JSON',
    (good) => `${good}\n{"question": "${secret}`,
    /train\.jsonl: row 2: is not valid JSON/,
  ),
  train('blank line', (good) => `${good}\n\n${good}\n`, /row 2: is a blank line/),
  train(
    'a list in place of a row',
    (good) => `${good}\n["${secret}"]`,
    /row 2: must be a JSON object with "question", "choices" and "answer"/,
  ),
  train(
    'an answer outside the choices',
    (good) => `${good}\n${row({ answer: 2 })}`,
    /row 2: column "answer": .*0 to 1/,
  ),
  train('empty choices', () => row({ choices: [] }), /row 1: column "choices": needs at least 2 choices/),
  train(
    'a choice without words',
    () => row({ choices: [secret, ' '] }),
    /row 1: column "choices", choice 1: is empty/,
  ),
  train(
    'a missing column',
    () => JSON.stringify({ question: secret, choices: [secret, 'a'] }),
    /row 1: column "answer": is missing/,
  ),
  train(
    'a row whose answer is cut',
    (good) => `${good}\n${row({ choices: ['a', `${secret} `.repeat(20)] })}`,
    /row 2: its answer would be cut: \d+ tokens of prompt and \d+ of answer are more than maxLength 128/,
  ),
  train(
    'bytes that are no UTF-8',
    (good) => Buffer.concat([Buffer.from(`${good}\n{"question": "`), Buffer.of(0xff), Buffer.from('"}')]),
    /row 2: is not UTF-8/,
  ),
  train(
    'one line of 10 MB',
    () => row({ question: secret.repeat(800_000) }),
    /row 1: its answer would be cut/,
  ),
  {
    name: 'a data file that is not there',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.uri', 'file:nowhere/train.jsonl'),
    reason: 'BadData',
    message: /nowhere\/train\.jsonl: there is no such file/,
  },
  {
    name: 'an empty directory in place of rows',
    kind: 'OffsiteTune',
    change: ({ manifest, path }) => {
      mkdirSync(path('empty'));
      setField(manifest, 'spec.data.uri', `file:${path('empty')}`);
    },
    reason: 'BadData',
    message: /empty: /,
  },
  {
    name: 'rows that cannot be read',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.uri', 'file:/proc/self/mem'),
    reason: 'BadData',
    message: /\/proc\/self\/mem: cannot be (read|opened)/,
  },
  {
    name: 'the digest of the rows',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.data\.digest: the digest of .*train\.jsonl is sha256:[0-9a-f]{64}, expected sha256:1{64}/,
  },
  {
    name: 'the digest of the probe set',
    kind: 'EmulatorBuild',
    change: ({ manifest }) => setField(manifest, 'spec.probe.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.probe\.data\.digest: the digest of .*probe\.jsonl is/,
  },
  {
    name: 'a probe row of another format',
    kind: 'EmulatorBuild',
    change: ({ path }) => writeFileSync(path('data/probe.jsonl'), row({})),
    reason: 'BadData',
    message: /probe\.jsonl: row 1: column "text": is missing/,
  },
  {
    name: 'the digest of a task',
    kind: 'PlugIn',
    change: ({ manifest }) =>
      setField(manifest, 'spec.evaluation.tasks.0.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.evaluation\.tasks\[0\]\.data\.digest: the digest of .*test\.jsonl is/,
  },
];

// ---- a wrong spec for this model, or a wrong place

const spec = (name: string, kind: Case['kind'], change: Case['change'], message: RegExp): Case => ({
  name,
  kind,
  change,
  reason: 'BadSpec',
  message,
});
const specCases: Case[] = [
  spec(
    'K larger than the layers',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.layers', 6),
    /^stage probe .*spec\.layers is 6, but the model has 5 layers; use 1 to 5/,
  ),
  spec(
    'transfer layers that are not kept',
    'EmulatorBuild',
    ({ manifest }) => {
      setField(manifest, 'spec.strategy', 'uniform');
      setField(manifest, 'spec.layers', 2);
      setField(manifest, 'spec.transferLayers', { layers: [1] });
    },
    /spec\.transferLayers\.layers: 1 not among the kept layers \(0, 4\); choose of these/,
  ),
  spec(
    'a claim that is not mounted',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'pvc://models/smollm2'),
    /spec\.model\.uri: claim models is not mounted; with offsite run, add --mount models=DIR/,
  ),
  spec(
    'an output in place of the model',
    'EmulatorBuild',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('model')}`),
    /spec\.output\.uri: must lie outside of spec\.model\.uri/,
  ),
  spec(
    'an output inside the model',
    'EmulatorBuild',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('model/out')}`),
    /spec\.output\.uri: must lie outside of spec\.model\.uri/,
  ),
  spec(
    'an output around the rows',
    'OffsiteTune',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('data')}`),
    /spec\.output\.uri: must lie outside of spec\.data\.uri/,
  ),
  spec(
    'an output where other files are',
    'EmulatorBuild',
    ({ manifest, path }) => {
      mkdirSync(path('photos'));
      writeFileSync(path('photos/sea.jpg'), 'sea');
      setField(manifest, 'spec.output.uri', `file:${path('photos')}`);
    },
    /spec\.output\.uri: .*photos holds 1 files and is no artifact/,
  ),
  spec(
    'a file in place of the output',
    'EmulatorBuild',
    ({ manifest, path }) => {
      writeFileSync(path('bundle'), 'mine');
      setField(manifest, 'spec.output.uri', `file:${path('bundle')}`);
    },
    /spec\.output\.uri: .*bundle is a file; an artifact is a directory/,
  ),
];

// ---- wrong artifacts

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

const artifactCases: Case[] = [
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
    /manifest\.json: is damaged/,
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
    /(which leaves the artifact|is not in the manifest)/,
  ),
  plugIn(
    'a second file of tensors',
    (place) => {
      cpSync(place.path('out/adapter/adapter.safetensors'), place.path('out/adapter/more.safetensors'));
      reseal(place, {});
    },
    /more\.safetensors: an adapter holds one adapter\.safetensors only/,
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

const cases = [...modelCases, ...dataCases, ...specCases, ...artifactCases].map((one, i) => ({
  ...one,
  id: `case-${i}`,
}));

describe('one run of all of them', () => {
  let output = '';

  beforeAll(async () => {
    writeTinyProject(base);
    const good = await offsite(['run', '-f', join(base, 'resources.yaml'), '--work-dir', work]);
    expect(good.code, good.stderr).toBe(0);
    const [emulator, adapterDigest] = ['emulator', 'adapter'].map((name) =>
      digestIn(join(base, 'out', name)),
    );
    const manifests = cases.map(({ id, kind, change }) => {
      cpSync(base, join(root, id), { recursive: true });
      const manifest = tinyManifests((place) => `file:${id}/${place}`)[stageOf[kind]];
      manifest.metadata.name = id;
      rmSync(join(root, id, 'out/.probes'), { recursive: true });
      if (kind !== 'EmulatorBuild')
        setField(manifest, 'spec.emulator', { uri: `file:${id}/out/emulator`, digest: emulator });
      if (kind === 'PlugIn')
        setField(manifest, 'spec.adapter', { uri: `file:${id}/out/adapter`, digest: adapterDigest });
      setField(manifest, 'spec.output.uri', `file:${id}/made`);
      change({ manifest, path: (...parts) => join(root, id, ...parts) });
      return manifest;
    });
    writeManifests(join(root, 'bad.yaml'), manifests);
    const ended = await offsite(['run', '-f', join(root, 'bad.yaml'), '--work-dir', work]);
    expect(ended.code, ended.stderr).toBe(1);
    output = ended.stdout + ended.stderr;
  });

  test.each(cases)('$name', ({ id, kind, reason, message }) => {
    const failed = failureOf(work, kind, id);
    expect(failed).toMatchObject({ reason, message: expect.stringMatching(message) });
    expect(failed.message).toContain(`(exit code ${codes[reason]})`);
  });

  test('nothing was made, and nothing quotes a row', () => {
    for (const { id } of cases) expect(readdirSync(join(root, id))).not.toContain('made');
    expect(output).not.toContain(secret);
    for (const file of readdirSync(work, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.yaml'),
    ))
      expect(readFileSync(join(work, file), 'utf8')).not.toContain(secret);
  });
});

test('what is good, is taken: CRLF, a byte order mark, symlinked model files', async () => {
  const place = join(root, 'good');
  const { build } = writeTinyProject(place);
  const probe = join(place, 'data/probe.jsonl');
  writeFileSync(probe, `\ufeff${readFileSync(probe, 'utf8').replaceAll('\n', '\r\n')}`);
  cpSync(join(place, 'model'), join(place, 'blobs'), { recursive: true });
  for (const name of readdirSync(join(place, 'model'))) {
    rmSync(join(place, 'model', name));
    symlinkSync(join(place, 'blobs', name), join(place, 'model', name));
  }
  writeManifests(join(place, 'resources.yaml'), [build]);
  const { code, stderr } = await offsite([
    'run',
    '-f',
    join(place, 'resources.yaml'),
    '--work-dir',
    join(place, 'work'),
  ]);
  expect(code, stderr).toBe(0);
  expect(dirname(place)).toBe(root);
});
