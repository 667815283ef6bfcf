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
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { canonicalJson, sealArtifact } from '../../../src/artifact/index.ts';
import {
  encodeFloats,
  openCheckpoint,
  type TensorToWrite,
  writeSafetensors,
} from '../../../src/checkpoint/index.ts';
import { verifyCommand } from '../../../src/cli/verify/command.ts';
import { openBundle } from '../../../src/emulator/index.ts';
import { sealAdapter } from '../../../src/plugin/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const peft = fileURLToPath(new URL('../../fixtures/peft', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'offsite-verify-'));
const good = {
  model: join(root, 'good-model'),
  released: join(root, 'good-released'),
  bundle: join(root, 'good-bundle'),
  adapter: join(root, 'good-adapter'),
};
const kept = [0, 1, 3, 4];
const matrix = [0, 1, 2, 3, 4].map((i) => [0, 1, 2, 3, 4].map((j) => 1 - Math.abs(i - j) / 10));
const plan = { kept, source: kept, transferLayers: [0, 3], clusters: [[0], [1], [2, 3], [4]] };
const similarity = {
  metric: 'linearCKA',
  adjacent: matrix.slice(1).map((row, i) => row[i]),
  matrix,
  ...plan,
};

type Tensors = Map<string, TensorToWrite>;
function rewrite(file: string, change: (tensors: Tensors) => void): void {
  const checkpoint = openCheckpoint(file);
  const tensors: Tensors = new Map(
    [...checkpoint.tensors.values()].map(({ name, shape, dtype }) => {
      const bytes = checkpoint.readBytes(name);
      return [name, { name, shape, dtype, bytes: () => bytes } as TensorToWrite];
    }),
  );
  checkpoint.close();
  change(tensors);
  writeSafetensors(file, [...tensors.values()]);
}
const full = (name: string, shape: number[], value: number): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  bytes: () => encodeFloats(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), 'F32'),
});

beforeAll(async () => {
  writeTinyModel(good.model);
  cpSync(good.model, good.released, { recursive: true });
  writeFileSync(join(good.released, 'LICENSE'), 'free');
  sealArtifact(good.released, { kind: 'Model', madeFrom: {}, hyperparameters: {} });
  cpSync(good.model, good.bundle, { recursive: true });
  rewrite(join(good.bundle, 'model.safetensors'), (tensors) => {
    for (const name of tensors.keys()) if (name.includes('layers.2.')) tensors.delete(name);
  });
  writeFileSync(join(good.bundle, 'similarity.json'), canonicalJson(similarity));
  sealArtifact(good.bundle, { kind: 'Emulator', madeFrom: {}, hyperparameters: {} });
  const bundle = openBundle(good.bundle);
  await sealAdapter(peft, bundle, good.adapter);
  bundle.close();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let told: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  told = vi.spyOn(console, 'log').mockReturnValue(undefined);
});
afterEach(() => vi.restoreAllMocks());
const said = () => told.mock.calls.map((call: unknown[]) => String(call[0])).join('\n');

let count = 0;
/** A copy that is changed and sealed again, as someone would who means harm. */
function changed(kind: keyof typeof good, change: (at: (name: string) => string) => void): string {
  const directory = join(root, `changed-${count++}`);
  cpSync(good[kind], directory, { recursive: true });
  change((name) => join(directory, name));
  const manifest = join(directory, 'manifest.json');
  if (readdirSync(directory).includes('manifest.json')) {
    const { files: _, ...description } = JSON.parse(readFileSync(manifest, 'utf8'));
    sealArtifact(directory, description);
  }
  return directory;
}
const put = (value: number) => (at: (name: string) => string) =>
  rewrite(at('model.safetensors'), (tensors) =>
    tensors.set('model.norm.weight', full('model.norm.weight', [32], value)),
  );

describe('offsite verify finds good', () => {
  it.each<[kind: keyof typeof good, text: RegExp]>([
    [
      'bundle',
      /^Emulator .*: good\n {2}sha256:[0-9a-f]{64}\n {2}\d+ bytes, 39 tensors; 4 layers kept of 5, 4 positions, transfer layers 0, 3$/,
    ],
    ['released', /^Model .*: good\n.*\n {2}\d+ bytes, 48 tensors; llama of 5 layers; every value is finite$/],
    [
      'model',
      /^Model without a manifest .*: good\n {2}sha256:[0-9a-f]{64}\n {2}48 tensors; llama of 5 layers/,
    ],
    ['adapter', /^Adapter .*: good\n.*\n {2}\d+ bytes, 8 tensors; lora; give --emulator BUNDLE/],
  ])('a %s', async (kind, text) => {
    await verifyCommand(good[kind], {});
    expect(said()).toMatch(text);
  });

  it('a bundle without transfer layers', async () => {
    const bundle = changed('bundle', (at) =>
      writeFileSync(at('similarity.json'), canonicalJson({ ...similarity, transferLayers: [] })),
    );
    await verifyCommand(bundle, {});
    expect(said()).toContain('4 layers kept of 5, 4 positions, no transfer layers');
  });

  it.each(['bundle', 'released'] as const)(
    'a %s of an earlier version, with a licence of any ending',
    async (kind) => {
      const before = ['LICENSE.html', 'NOTICE.pdf', 'USE_POLICY'];
      await verifyCommand(
        changed(kind, (at) => {
          for (const name of before) writeFileSync(at(name), 'free');
        }),
        {},
      );
      expect(said()).toContain(': good');
    },
  );

  it.each(['model', 'bundle', 'released'] as const)('a %s that names code, and tells it', async (kind) => {
    const path = changed(kind, (at) => {
      for (const name of ['config.json', 'tokenizer_config.json'])
        writeFileSync(at(name), readFileSync(at(name), 'utf8').replace('{', '{"auto_map": {}, '));
    });
    await verifyCommand(path, {});
    expect(said()).toMatch(
      /: good\n(.*\n)+ {2}config\.json: auto_map: names code to run; nothing made of this has it\n {2}tokenizer_config\.json: auto_map: names/,
    );
    told.mockClear();
    await verifyCommand(path, { json: true });
    expect(JSON.parse(said()).remarks).toHaveLength(2);
    told.mockClear();
    await verifyCommand(good[kind], { json: true });
    expect(JSON.parse(said())).not.toHaveProperty('remarks');
  });

  it('an adapter of its bundle', async () => {
    await verifyCommand(good.adapter, { emulator: good.bundle });
    expect(said()).toContain('8 tensors; belongs to');
  });

  it('masks beside the weights of a released model, as old checkpoints have them', async () => {
    const mask: TensorToWrite = {
      name: 'h.0.attn.bias',
      dtype: 'BOOL',
      shape: [2, 2],
      bytes: () => Uint8Array.of(1, 0, 1, 1),
    };
    await verifyCommand(
      changed('released', (at) =>
        rewrite(at('model.safetensors'), (tensors) => tensors.set(mask.name, mask)),
      ),
      {},
    );
    expect(said()).toContain('49 tensors');
  });

  it('and says it as JSON', async () => {
    await verifyCommand(good.bundle, { json: true });
    expect(JSON.parse(said())).toMatchObject({ path: good.bundle, kind: 'Emulator', tensors: 39 });
  });
});

describe('offsite verify names', () => {
  it.each<[what: string, kind: keyof typeof good, change: Parameters<typeof changed>[1], message: RegExp]>([
    [
      'a weight that is no number',
      'released',
      put(Number.NaN),
      /tensor model\.norm\.weight holds NaN \(element 0\)/,
    ],
    [
      'infinity in a bundle',
      'bundle',
      put(Number.POSITIVE_INFINITY),
      /tensor model\.norm\.weight holds Infinity/,
    ],
    ['infinity in a model from the hub', 'model', put(Number.NEGATIVE_INFINITY), /holds -Infinity/],
    [
      'a tensor of another shape',
      'bundle',
      (at) =>
        rewrite(at('model.safetensors'), (tensors) =>
          tensors.set('model.norm.weight', full('model.norm.weight', [16], 1)),
        ),
      /tensor model\.norm\.weight is \[16\], its config\.json asks for \[32\]/,
    ],
    [
      'a tensor that the plan does not need',
      'bundle',
      (at) =>
        rewrite(at('model.safetensors'), (tensors) =>
          tensors.set('model.layers.2.x', full('model.layers.2.x', [1], 1)),
        ),
      /holds tensor model\.layers\.2\.x, which its plan does not need/,
    ],
    [
      'a tensor that is missing',
      'bundle',
      (at) =>
        rewrite(at('model.safetensors'), (tensors) => tensors.delete('model.layers.3.mlp.up_proj.weight')),
      /has no tensor model\.layers\.3\.mlp\.up_proj\.weight/,
    ],
    [
      'a plan of another model',
      'bundle',
      (at) => writeFileSync(at('similarity.json'), canonicalJson({ ...similarity, transferLayers: [2] })),
      /similarity\.json: its plan does not fit a model of 5 layers/,
    ],
    ...[{ kept: [0, 1, 3, 4, 4] }, { transferLayers: [0, 0, 3] }, { transferLayers: [3, 0] }].map(
      (lists): [string, keyof typeof good, Parameters<typeof changed>[1], RegExp] => [
        `layers that do not stand in their order, each once: ${JSON.stringify(lists)}`,
        'bundle',
        (at) => writeFileSync(at('similarity.json'), canonicalJson({ ...similarity, ...lists })),
        /similarity\.json: its plan does not fit a model of 5 layers/,
      ],
    ),
    [
      'similarities that are none',
      'bundle',
      (at) =>
        writeFileSync(
          at('similarity.json'),
          canonicalJson({ ...similarity, matrix: matrix.map((row) => row.map(() => 7)) }),
        ),
      /its similarity\.json holds no similarities of 5 layers/,
    ],
    ...(['clusters', 'kept', 'transferLayers', 'source'] as const).map(
      (name): [string, keyof typeof good, Parameters<typeof changed>[1], RegExp] => [
        `${name} without end`,
        'bundle',
        (at) =>
          writeFileSync(
            at('similarity.json'),
            canonicalJson({ ...similarity, [name]: Array(300_000).fill(name === 'clusters' ? [] : 3) }),
          ),
        new RegExp(`similarity\\.json: ${name}: has 300000 entries; no model has more than 1024 layers`),
      ],
    ),
    [
      'similarities without end',
      'bundle',
      (at) => writeFileSync(at('similarity.json'), '['.repeat(1e6)),
      /similarity\.json: is missing or damaged/,
    ],
    [
      'a file that no bundle has',
      'bundle',
      (at) => writeFileSync(at('modeling_llama.py'), 'import os'),
      /holds modeling_llama\.py, which no artifact of kind Emulator has/,
    ],
    [
      'a file that no adapter has',
      'adapter',
      (at) => writeFileSync(at('adapter_model.safetensors'), ''),
      /holds adapter_model\.safetensors, which no artifact of kind Adapter has/,
    ],
    [
      'a quantised model',
      'model',
      (at) =>
        writeFileSync(
          at('config.json'),
          JSON.stringify({
            ...JSON.parse(readFileSync(at('config.json'), 'utf8')),
            quantization_config: { quant_method: 'gptq' },
          }),
        ),
      /the weights are quantised \(gptq\)/,
    ],
    [
      'a Git LFS pointer for weights',
      'model',
      (at) =>
        writeFileSync(at('model.safetensors'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
      /model\.safetensors: is a Git LFS pointer/,
    ],
    [
      'a Git LFS pointer for the tokenizer',
      'model',
      (at) =>
        writeFileSync(at('tokenizer.json'), 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n'),
      /tokenizer\.json: is/,
    ],
    [
      'weights that are cut off',
      'model',
      (at) => truncateSync(at('model.safetensors'), 5000),
      /it is truncated/,
    ],
    [
      'a tokenizer whose pattern the library gives up on',
      'bundle',
      (at) => {
        const pre_tokenizer = {
          type: 'Split',
          pattern: { Regex: '(a+)+$' },
          behavior: 'Isolated',
          invert: false,
        };
        const written = JSON.parse(readFileSync(at('tokenizer.json'), 'utf8')) as object;
        writeFileSync(at('tokenizer.json'), JSON.stringify({ ...written, pre_tokenizer }));
      },
      /tokenizer\.json: the tokenizer cannot be used: the tokenizers library breaks off on it/,
    ],
    [
      'a chat template that calls what is not there',
      'bundle',
      (at) =>
        writeFileSync(at('tokenizer_config.json'), JSON.stringify({ chat_template: '{{ today_now() }}' })),
      /tokenizer\.json: its chat template cannot be used: it calls today_now/,
    ],
    ['no tokenizer', 'bundle', (at) => rmSync(at('tokenizer.json')), /holds no tokenizer\.json/],
    [
      'an adapter of PEFT that is not sealed',
      'model',
      (at) => cpSync(peft, at('.'), { recursive: true }),
      /is an adapter of PEFT and no artifact yet; offsite seal makes it one/,
    ],
    [
      'an absurd adapter',
      'adapter',
      (at) =>
        rewrite(at('adapter.safetensors'), (tensors) => {
          const [name, tensor] = [...tensors][0]!;
          tensors.set(name, full(name, [...tensor.shape], 3e38));
        }),
      /lora_A\.weight holds 3\.0\d*e\+38 \(element 0\); no weight is beyond 1000000/,
    ],
    ...(
      [
        ['base_model_name_or_path', 'evil/repo', /: must be null, as the manifest and the tensors say/],
        ['auto_mapping', { parent_library: 'evil' }, /: is not for an adapter to set; it must be absent/],
        ['use_dora', true, /: is not for an adapter to set/],
        ['lora_alpha', 1e6, /: must be 16, as/],
        ['r', 8, /: must be 4, as/],
        ['target_modules', ['q_proj'], /: must be \["q_proj","v_proj"\], as/],
        ['layers_to_transform', [0, 1, 2, 3, 4], /: must be \[0,3\], as/],
        ['fan_in_fan_out', true, /: must be false, as/],
      ] as [name: string, value: unknown, message: RegExp][]
    ).map(([name, value, message]): [string, keyof typeof good, Parameters<typeof changed>[1], RegExp] => [
      `${name} that an adapter's manifest does not imply`,
      'adapter',
      (at) => {
        const file = at('adapter_config.json');
        writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), [name]: value }));
      },
      new RegExp(`adapter_config\\.json: ${name}${message.source}`),
    ]),
    [
      'half a pair of factors',
      'adapter',
      (at) =>
        rewrite(at('adapter.safetensors'), (tensors) => {
          for (const name of tensors.keys())
            if (name.includes('3.self_attn.q_proj.lora_B')) tensors.delete(name);
        }),
      /lacks tensor .*layers\.3\.self_attn\.q_proj\.lora_B\.weight, the other factor of/,
    ],
    [
      'a tensor that is no factor',
      'adapter',
      (at) => rewrite(at('adapter.safetensors'), (tensors) => tensors.set('extra', full('extra', [4], 1))),
      /tensor extra \[4\] is none that an adapter has whose manifest says lora/,
    ],
    [
      'factors of another rank than the manifest says',
      'adapter',
      (at) =>
        rewrite(at('adapter.safetensors'), (tensors) => {
          const [name] = [...tensors.keys()];
          tensors.set(name!, full(name!, [2, 32], 1));
        }),
      /is \[2,32\], which is not of rank 4 as the manifest says/,
    ],
  ])('%s', async (_, kind, change, message) => {
    await expect(verifyCommand(changed(kind, change), {})).rejects.toThrow(message);
    expect(told).not.toHaveBeenCalled();
  });

  it('an adapter that is absurd for the model that it belongs to', async () => {
    const directory = changed('adapter', (at) =>
      rewrite(at('adapter.safetensors'), (tensors) => {
        for (const [name, { shape }] of tensors) tensors.set(name, full(name, [...shape], 16));
      }),
    );
    await verifyCommand(directory, {});
    await expect(verifyCommand(directory, { emulator: good.bundle })).rejects.toThrow(
      /its change of model\.layers\.0\.self_attn\.q_proj\.weight is .* times as large as the weights of its layer/,
    );
  });

  it.each<
    [what: string, kind: keyof typeof good, change: (at: (name: string) => string) => void, message: RegExp]
  >([
    [
      'a changed byte',
      'bundle',
      (at) => writeFileSync(at('config.json'), readFileSync(at('config.json'), 'utf8').replace('32', '33')),
      /config\.json: its sha256 is not the manifest's/,
    ],
    ['a file more', 'bundle', (at) => writeFileSync(at('more'), ''), /more: is not in the manifest/],
    [
      'a file less',
      'bundle',
      (at) => rmSync(at('tokenizer.json')),
      /tokenizer\.json: is in the manifest but not there/,
    ],
    [
      'a link',
      'bundle',
      (at) => {
        rmSync(at('config.json'));
        symlinkSync('/etc/hostname', at('config.json'));
      },
      /config\.json: is no plain file/,
    ],
    [
      'a directory in the place of a file',
      'bundle',
      (at) => {
        rmSync(at('config.json'));
        mkdirSync(at('config.json'));
      },
      /config\.json: is /,
    ],
  ])('%s that the manifest does not say', async (_, kind, change, message) => {
    const directory = join(root, `broken-${count++}`);
    cpSync(good[kind], directory, { recursive: true });
    change((name) => join(directory, name));
    await expect(verifyCommand(directory, {})).rejects.toThrow(message);
  });

  it('another digest, nothing there, and a directory that is nothing of the kind', async () => {
    const other = `sha256:${'0'.repeat(64)}`;
    for (const kind of ['bundle', 'model'] as const)
      await expect(verifyCommand(good[kind], { digest: other })).rejects.toThrow(`expected ${other}`);
    await expect(verifyCommand(join(root, 'nowhere'), {})).rejects.toThrow(
      'there is no such file or directory',
    );
    const empty = join(root, 'empty');
    mkdirSync(empty);
    await expect(verifyCommand(empty, {})).rejects.toThrow('holds neither a manifest.json');
  });

  it('by an escape what a terminal would take for a command', async () => {
    const directory = join(root, 'red\u001b[31m');
    cpSync(good.model, directory, { recursive: true });
    await verifyCommand(directory, {});
    expect(said()).toContain('red\\u{1b}[31m');
    expect(said()).not.toContain('\u001b');
  });
});
