import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hashFiles, WrittenFiles } from '../../../src/artifact/index.ts';
import { type DType, encodeFloats, openCheckpoint } from '../../../src/checkpoint/index.ts';
import { companionsOf } from '../../../src/model/companions.ts';
import type { Model } from '../../../src/model/index.ts';
import { mergedTensors, roundsChanges, savePluggedIn } from '../../../src/plugin/merge.ts';

const directory = mkdtempSync(join(tmpdir(), 'offsite-merge-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** @returns the files of a directory that is made empty */
function filesAt(path: string): WrittenFiles {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path);
  return new WrittenFiles(path);
}

const companionsIn = (from: string) => companionsOf(from, hashFiles(from).files);

const values = Float32Array.of(1.5, -2, 0.25, 8);
const bytes: Partial<Record<DType, Uint8Array>> = {
  F64: new Uint8Array(Float64Array.from(values).buffer),
  F32: encodeFloats(values, 'F32'),
  F16: encodeFloats(values, 'F16'),
  BF16: encodeFloats(values, 'BF16'),
  I64: new Uint8Array(BigInt64Array.of(1n, -2n, 3n, 4n).buffer),
  U8: Uint8Array.of(0, 1, 255, 7),
  BOOL: Uint8Array.of(0, 1, 1, 0),
};
const dtypes = Object.keys(bytes) as DType[];
/** A model with a tensor of each dtype. */
const model = {
  architecture: { head: { head: { name: 'F16', untied: 'lm_head.weight' } } },
  config: { cap: 30 },
  configText: '{"cap": 30.0}\n',
  tokenizer: { released: { files: [] } },
  companions: [],
  tensors: new Map(dtypes.map((dtype) => [dtype, { name: dtype, dtype, shape: [2, 2] }])),
  read: () => values,
  named: new Set<string>(dtypes),
  readBytes: (name: DType) => bytes[name]!,
} as unknown as Model;

describe('the plugged-in model', () => {
  it('keeps dtype and bytes of every tensor that is not replaced, and config.json as it is written', () => {
    const path = join(directory, 'kept');
    savePluggedIn(filesAt(path), model, new Map());
    const saved = openCheckpoint(path);
    for (const dtype of dtypes) {
      expect(saved.tensors.get(dtype)).toMatchObject({ dtype, shape: [2, 2] });
      expect(saved.readBytes(dtype), dtype).toEqual(bytes[dtype]);
    }
    saved.close();
  });

  it('leaves behind what nothing runs: masks, and what nobody measured', () => {
    const path = join(directory, 'named');
    savePluggedIn(filesAt(path), { ...model, named: new Set(['F32', 'F16']) }, new Map());
    const saved = openCheckpoint(path);
    expect([...saved.tensors.keys()].sort()).toEqual(['F16', 'F32']);
    saved.close();
  });

  it('brings what its users need, as the full model has it', () => {
    const from = join(directory, 'from');
    mkdirSync(join(from, 'NOTICES'), { recursive: true });
    const needed = [
      ...['generation_config.json', 'special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja'],
      ...['README.md', 'LICENSE', 'LICENSE.txt', 'NOTICE', 'LICENCE-model.md', 'USE_POLICY.md'],
      ...['LICENSE-2.0', 'COPYING.LESSER'],
    ];
    const others = [
      ...['training_args.bin', 'LICENSES', '.env', 'id_rsa', 'README.md.bak', 'optimizer.pt'],
      ...['LICENSE.py', 'NOTICE.sh', 'COPYING_x.EXE', 'LICENSE.txt.so', 'USE_POLICY.html', 'LICENSE.'],
    ];
    const text = (name: string) => (name.endsWith('.json') ? `\ufeff{"${name}": 1.0}` : `this is ${name}`);
    for (const name of [...needed, ...others]) writeFileSync(join(from, name), text(name));
    const path = join(directory, 'with-companions');
    savePluggedIn(filesAt(path), { ...model, companions: companionsIn(from) }, new Map());
    const own = ['config.json', 'model.safetensors'];
    expect(readdirSync(path).sort()).toEqual([...needed, ...own].sort());
    for (const name of needed) expect(readFileSync(join(path, name), 'utf8')).toBe(text(name));
    expect(
      companionsIn(from)
        .filter(({ licence }) => licence)
        .map(({ name }) => name),
    ).toEqual([
      ...['COPYING.LESSER', 'LICENCE-model.md', 'LICENSE', 'LICENSE-2.0', 'LICENSE.txt', 'NOTICE'],
      'USE_POLICY.md',
    ]);
  });

  it('brings settings without the fields that name code, and tokens whatever they are called', () => {
    const from = join(directory, 'from-code');
    mkdirSync(from);
    const text = '{"auto_map": 1, "temperature": 1.0}';
    const names = ['added_tokens.json', 'generation_config.json', 'special_tokens_map.json', 'vocab.json'];
    for (const name of names) writeFileSync(join(from, name), text);
    const path = join(directory, 'without-code');
    savePluggedIn(filesAt(path), { ...model, companions: companionsIn(from) }, new Map());
    const kept = '{ "temperature": 1.0}';
    expect(names.map((name) => readFileSync(join(path, name), 'utf8'))).toEqual([text, kept, kept, text]);
    writeFileSync(join(from, 'generation_config.json'), 'none');
    expect(() => companionsIn(from)).toThrow('generation_config.json: is not JSON');
  });

  it.each<[string, (path: string) => void, string]>([
    [
      'a directory',
      (path) => {
        mkdirSync(path);
        writeFileSync(join(path, 'part'), '');
      },
      'LICENSE: is no plain file',
    ],
    ['a link to nothing', (path) => symlinkSync('nowhere', path), 'LICENSE: leads to no file'],
    ['a device', (path) => symlinkSync('/dev/zero', path), 'LICENSE: is no plain file'],
    [
      '65 MB',
      (path) => {
        writeFileSync(path, '');
        writeFileSync(path, new Uint8Array(65 << 20).fill(32));
      },
      'LICENSE: has 68157440 bytes; at most',
    ],
  ])('takes no licence that is %s', (what, make, message) => {
    const from = join(directory, `bad ${what}`);
    mkdirSync(from);
    make(join(from, 'LICENSE'));
    expect(() => companionsIn(from)).toThrow(message);
  });

  it.each(['F64', 'F32', 'F16', 'BF16'] as const)('has a replaced %s tensor in its own dtype', (dtype) => {
    const path = join(directory, dtype);
    savePluggedIn(
      filesAt(path),
      model,
      mergedTensors(model, new Map([[dtype, values.map((value) => -value)]]), 0.5),
    );
    const saved = openCheckpoint(path);
    expect(saved.tensors.get(dtype)!.dtype).toBe(dtype);
    expect([...saved.read(dtype)]).toEqual([0, 0, 0, 0]);
    saved.close();
  });

  it.each([
    ['{"cap": 30.0, "tie_word_embeddings": true}', '{"cap": 30.0, "tie_word_embeddings": false}'],
    ['{"cap": 30.0}', '{\n  "tie_word_embeddings": false,"cap": 30.0}'],
    [
      '{"cap": 30.0, "tie_word_embeddin\\u0067s" :\ttrue, "a": "}"}',
      '{"cap": 30.0, "tie_word_embeddin\\u0067s" :\tfalse, "a": "}"}',
    ],
    [
      '{"a": {"tie_word_embeddings": true}, "b": ["{\\"", "tie_word_embeddings"], "tie_word_embeddings":true}',
      '{"a": {"tie_word_embeddings": true}, "b": ["{\\"", "tie_word_embeddings"], "tie_word_embeddings":false}',
    ],
  ])('has a head of its own where a tied one was trained: %s', (configText, expected) => {
    const path = join(directory, 'head');
    const tied = { ...model, configText, config: JSON.parse(configText) as Model['config'] };
    const trained = new Map([['lm_head.weight', values.map((value) => 3 * value)]]);
    savePluggedIn(filesAt(path), tied, mergedTensors(tied, trained, 0.5));
    expect(readFileSync(join(path, 'config.json'), 'utf8')).toBe(expected);
    const saved = openCheckpoint(path);
    expect(saved.tensors.get('lm_head.weight')).toMatchObject({ dtype: 'F16', shape: [2, 2] });
    expect([...saved.read('lm_head.weight')]).toEqual([3, -4, 0.5, 16]);
    expect(saved.readBytes('F16')).toEqual(bytes.F16);
    saved.close();
  });

  it('scales what inserted modules add, and nothing else of them', () => {
    const inserted = new Map(['fc1', 'fc2'].map((name) => [name, values]));
    const adapter = {
      get: (name: string) => inserted.get(name),
      has: (name: string) => inserted.has(name),
      inserted: () => ({ outputUp: { name: 'fc2', shape: [4] } }),
      scaled: new Set(['fc2']),
    };
    const plugged = mergedTensors(model, adapter, 0.5);
    expect(plugged.get('fc1')).toEqual(values);
    expect(plugged.get('fc2')).toEqual(values.map((value) => value / 2));
    expect(plugged.inserted!(0)).toEqual(adapter.inserted());
  });

  it.each(['F32', 'F16', 'BF16'] as const)(
    'of what is saved as an adapter measures the numbers of its file, in a model of %s too',
    (dtype) => {
      // half a unit in the last place of either type at most: rounded, it would be the model's own number again
      const near = values.map((value) => value * (1 + 2 ** -13));
      const of = (saved: 'model' | 'adapter') =>
        mergedTensors(model, new Map([[dtype, near]]), 1, saved).get(dtype);
      expect(of('adapter')).toEqual(near);
      expect(of('model')).toEqual(dtype === 'F32' ? near : values);
      expect(roundsChanges(model, { changed: [dtype] })).toBe(dtype !== 'F32');
    },
  );

  it('refuses a value that its dtype cannot hold', () => {
    const large = new Map([['F16', values.map(() => 70_000)]]);
    expect(() => mergedTensors(model, large, 1).get('F16')).toThrow("too large for the model's F16");
  });
});
