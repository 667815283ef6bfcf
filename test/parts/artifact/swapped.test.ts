import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PlugIn } from '../../../src/api/index.ts';
import {
  CheckedFiles,
  digestOf,
  peekManifest,
  sealArtifact,
  WrittenFiles,
} from '../../../src/artifact/index.ts';
import { verifyCommand } from '../../../src/cli/verify/command.ts';
import { type AssembleInput, assemble, openBundle, runProbe } from '../../../src/emulator/index.ts';
import { describeTest, prepareTest } from '../../../src/emulator/leak-test.ts';
import { Engine } from '../../../src/engine/index.ts';
import { openModel } from '../../../src/model/index.ts';
import { exportAdapter, openAdapter } from '../../../src/plugin/index.ts';
import { openPeft } from '../../../src/plugin/peft-adapter.ts';
import { openSides } from '../../../src/plugin/sides.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

/** What happens once before and after a file is hashed, by its path. */
const acts = { before: new Map<string, () => void>(), after: new Map<string, () => void>() };
const act = (map: Map<string, () => void>, path: string) => {
  const what = map.get(path);
  map.delete(path);
  what?.();
};
const { digest: hash } = CheckedFiles.prototype;
const spy = vi.spyOn(CheckedFiles.prototype, 'digest').mockImplementation(function (
  this: CheckedFiles,
  path: string,
  look,
) {
  act(acts.before, path);
  const hashed = hash.call(this, path, look);
  act(acts.after, path);
  return hashed;
});

const root = mkdtempSync(join(tmpdir(), 'offsite-swapped-'));
const model = join(root, 'model');
const weights = join(model, 'model.safetensors');
const changed = (path: string) =>
  expect.objectContaining({
    reason: 'BadModel',
    message: `${path}: was changed while it was read; nothing was made of it: run again`,
  });
let digest: string;
let engine: Engine;

beforeAll(async () => {
  const small = { layers: 2, hidden: 16, intermediate: 16 };
  writeTinyModel(join(root, 'right'), { ...small, seed: 1 });
  writeTinyModel(join(root, 'other'), { ...small, seed: 2 });
  writeFileSync(join(root, 'rows.jsonl'), '{"text":"The sky is blue."}\n{"text":"Grass is green."}\n');
  digest = digestOf(join(root, 'right'));
  engine = await Engine.create({ provider: 'cpu', threads: 1 });
});
afterAll(async () => {
  spy.mockRestore();
  await engine.dispose();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  acts.before.clear();
  acts.after.clear();
  rmSync(model, { recursive: true, force: true });
  cpSync(join(root, 'right'), model, { recursive: true });
});

/** A file of the same length and time, with other bytes, comes into a file's place by one rename. */
function swap(path: string): void {
  const { atime, mtime } = statSync(path);
  const bytes = readFileSync(path);
  bytes[bytes.length - 3]! ^= 1;
  writeFileSync(`${root}/new`, bytes);
  utimesSync(`${root}/new`, atime, mtime);
  renameSync(`${root}/new`, path);
}

/** The other model's weights lie there until it is their turn to be hashed. */
function swapUntilHashed(): void {
  const right = readFileSync(weights);
  cpSync(join(root, 'other/model.safetensors'), weights);
  acts.before.set(weights, () => writeFileSync(weights, right));
}

const norm = 'model.layers.1.mlp.up_proj.weight';
function valuesOf(path: string): number[] {
  const opened = openModel(path);
  const values = [...opened.read(norm)];
  opened.close();
  return values;
}

const build = (name: string): AssembleInput => ({
  model,
  data: { path: join(root, 'rows.jsonl'), format: 'text' },
  probe: { samples: 2, maxLength: 16, pooling: 'mean', skipFirst: false, shards: 1 },
  expected: { model: digest },
  output: join(root, name, 'bundle'),
  work: join(root, name, 'states'),
  own: join(root, name, 'own'),
  memory: 2 ** 28,
  similarity: { metric: 'cosine' },
  plan: { strategy: 'none', sharing: 'nearest', transferLayers: { count: 1 } },
  limit: 0,
  emit: () => {},
});

describe('a model', () => {
  test('that is another one until it is hashed is read as what was hashed', async () => {
    swapUntilHashed();
    const opened = openModel(model, { digest });
    expect([...opened.read(norm)]).toEqual(valuesOf(join(root, 'right')));
    opened.checkUnchanged();
    opened.close();
    swapUntilHashed();
    const input = build('until');
    await assemble(engine, input);
    const bundle = openBundle(input.output);
    expect([...bundle.model.read(norm)]).toEqual(valuesOf(join(root, 'right')));
    bundle.close();
  });

  test.each(['model.safetensors', 'config.json', 'tokenizer.json', 'tokenizer_config.json'])(
    'whose %s is swapped once it is hashed is not opened',
    (name) => {
      acts.after.set(join(model, name), () => swap(join(model, name)));
      expect(() => openModel(model)).toThrow(changed(join(model, name)));
    },
  );

  const readers: [string, (path: string) => unknown][] = [
    ['verify', (path) => verifyCommand(path, { digest })],
    ['the stage probe', () => runProbe(engine, build('probe'))],
    ['the stage assemble', () => assemble(engine, build('assemble'))],
    [
      'the stage plug',
      (path) =>
        openSides({ model: { digest } } as PlugIn['spec'], {
          model: path,
          emulator: { directory: 'none' },
          adapters: [],
        }),
    ],
  ];
  test.each(readers)('that is swapped once it is hashed ends %s', async (_, stage) => {
    acts.after.set(weights, () => swap(weights));
    await expect(async () => stage(model)).rejects.toThrow(changed(weights));
  });

  const layLink = (file: string) => {
    rmSync(file, { force: true });
    symlinkSync(join(root, 'rows.jsonl'), file);
  };
  const leadsElsewhere = (file: string) =>
    `${file}: leads by a symbolic link to ${join(root, 'rows.jsonl')}, which is no file of its directory's own`;

  test.each(
    readers.flatMap(([name, stage]) => ['LICENSE', 'notes.bin'].map((file) => [file, name, stage] as const)),
  )('whose %s is a link to rows of its owner ends %s, and nothing is made', async (file, name, stage) => {
    layLink(join(model, file));
    await expect(async () => stage(model)).rejects.toMatchObject({
      reason: 'BadModel',
      message: expect.stringContaining(leadsElsewhere(join(model, file))),
    });
    expect(readdirSync(root)).not.toContain(name.split(' ').at(-1));
  });

  test.each(['LICENSE', 'notes.bin'])(
    'whose %s is such a link only while it is hashed is not opened',
    (name) => {
      const file = join(model, name);
      writeFileSync(file, 'free');
      acts.before.set(file, () => layLink(file));
      acts.after.set(file, () => {
        rmSync(file);
        writeFileSync(file, 'free');
      });
      expect(() => openModel(model)).toThrow(leadsElsewhere(file));
    },
  );

  test('whose open file is written to, while an equal one takes its place, is told at the end', () => {
    utimesSync(weights, 1_700_000_000, 1_700_000_000);
    const opened = openModel(model);
    linkSync(weights, join(root, 'held'));
    cpSync(weights, join(root, 'equal'));
    utimesSync(join(root, 'equal'), 1_700_000_000, 1_700_000_000);
    renameSync(join(root, 'equal'), weights);
    opened.checkUnchanged();
    writeFileSync(join(root, 'held'), readFileSync(join(root, 'other/model.safetensors')));
    expect(() => opened.checkUnchanged()).toThrow(changed(weights));
    opened.close();
    // What was read stays what it was.
    expect(() => opened.checkUnchanged()).toThrow(changed(weights));
  });

  test('takes along what was hashed: what comes later is none of it', () => {
    writeFileSync(join(model, 'LICENSE'), 'the right one');
    acts.after.set(join(model, 'tokenizer_config.json'), () => {
      writeFileSync(join(model, 'NOTICE'), 'late');
      writeFileSync(join(model, 'chat_template.jinja'), 'late');
      writeFileSync(join(model, 'generation_config.json'), '{"late":true}');
    });
    const opened = openModel(model);
    expect(opened.companions.map(({ name }) => name)).toEqual(['LICENSE']);
    const texts = opened.tokenizer.files.map(({ bytes }) => Buffer.from(bytes).toString());
    expect(texts.join()).not.toContain('late');
    swap(join(model, 'LICENSE'));
    const out = join(root, 'out');
    mkdirSync(out);
    expect(() => opened.companions[0]!.copy(new WrittenFiles(out))).toThrow(changed(join(model, 'LICENSE')));
    expect(readdirSync(out)).toEqual([]);
    opened.close();
  });

  test('that is one file has nothing of what lies beside it', () => {
    expect(() => openModel(weights)).toThrow('name the directory that holds its config.json too');
  });
});

describe('an artifact', () => {
  /** The bundle, with a file more or another one, sealed anew. */
  const changedBundle = (name: string, change: (text: string) => string): string => {
    const directory = mkdtempSync(join(root, 'bundle-'));
    cpSync(build('until').output, directory, { recursive: true });
    const file = join(directory, name);
    writeFileSync(file, change(existsSync(file) ? readFileSync(file, 'utf8') : ''));
    const { files: _, ...description } = peekManifest(directory)!.manifest;
    rmSync(join(directory, 'manifest.json'));
    sealArtifact(directory, description);
    return directory;
  };

  test('that is a bundle of another config.json than the model that it says it is of is refused', () => {
    const directory = changedBundle('config.json', (text) =>
      text.replace('"rms_norm_eps":0.00001', '"rms_norm_eps":1'),
    );
    openBundle(directory).close();
    const given = { model, emulator: { directory }, adapters: [] };
    expect(() => openSides({ model: {} } as PlugIn['spec'], given)).toThrow(
      `${directory}: its config.json is not that of the model`,
    );
  });

  test.each(['model.gguf', 'run.py', 'pytorch_model.bin'])(
    'that is a bundle is not opened with %s',
    (name) => {
      expect(() => openBundle(changedBundle(name, () => 'x'))).toThrow(
        `holds ${name}, which no artifact of kind Emulator has`,
      );
    },
  );

  const lora = { adapter: { type: 'lora' } };
  const adapter = (): string => {
    const directory = mkdtempSync(join(root, 'adapter-'));
    cpSync(join(root, 'right/model.safetensors'), join(directory, 'adapter.safetensors'));
    sealArtifact(directory, { kind: 'Adapter', madeFrom: { emulator: 'e' }, hyperparameters: lora });
    return directory;
  };
  const expected = { emulator: 'e' } as Parameters<typeof openAdapter>[1];

  test.each<[string, (directory: string) => unknown]>([
    ['openAdapter', (directory) => openAdapter(directory, expected)],
    ['export', (directory) => exportAdapter(directory, join(root, 'exported'))],
    ['verify', (directory) => verifyCommand(directory, {})],
  ])('that is an adapter, and is swapped once it is hashed, ends %s', async (_, read) => {
    const directory = adapter();
    const file = join(directory, 'adapter.safetensors');
    acts.after.set(file, () => swap(file));
    await expect(async () => read(directory)).rejects.toThrow(changed(file));
  });

  test.each(['model.safetensors', 'config.json'])(
    'that is a bundle is not opened where its %s is swapped once it is hashed',
    async (name) => {
      const { output } = build('until');
      const file = join(output, name);
      const right = readFileSync(file);
      for (const read of [() => openBundle(output), () => verifyCommand(output, {})]) {
        acts.after.set(file, () => swap(file));
        await expect(async () => read()).rejects.toThrow(changed(file));
        writeFileSync(file, right);
      }
    },
  );

  test('that PEFT has made is not opened where it is swapped once it is hashed', () => {
    const directory = mkdtempSync(join(root, 'peft-'));
    const file = join(directory, 'adapter_model.safetensors');
    cpSync(join(root, 'right/model.safetensors'), file);
    writeFileSync(
      join(directory, 'adapter_config.json'),
      '{"peft_type":"LORA","r":2,"lora_alpha":2,"init_lora_weights":true}',
    );
    const { architecture, close } = openModel(model);
    acts.after.set(file, () => swap(file));
    expect(() => openPeft(directory, architecture, [0])).toThrow(changed(file));
    close();
  });
});

test('rows of a leak test that are others while they are read, and are put back, are refused', async () => {
  const path = join(root, 'leak.jsonl');
  const right = '{"text":"The sky is blue."}\n';
  writeFileSync(path, right);
  const asked = { data: { path, format: 'text' as const }, learningRate: '0.001', maxLength: 16 };
  const leakTest = { ...asked, tokens: [10], batchSize: 1, seed: 1 };
  const described = describeTest(leakTest);
  writeFileSync(path, right.replace('blue', 'grey'));
  const reading = Object.create(engine, {
    isCancelled: {
      get() {
        writeFileSync(path, right);
        return false;
      },
    },
  });
  const opened = openModel(model);
  const options = { memory: 2 ** 28, emit: () => {} };
  await expect(
    prepareTest(reading, opened, { test: leakTest, described }, { reason: 'limit is 0' }, options),
  ).rejects.toMatchObject({ reason: 'BadData', message: expect.stringContaining(`${path}: was changed`) });
  opened.close();
});
