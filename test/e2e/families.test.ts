import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openModel } from '../../src/model/index.ts';
import { type Fixture, fixtureOf, writeCheckpoint } from '../golden/families/fixture.ts';
import { workDirectory } from '../golden/smollm2.ts';
import { type Ended, offsite, savedStatus } from '../offsite/index.ts';
import { setField, tinyManifests, writeManifests, writeTinyData } from '../tiny/index.ts';
import { tinyVocabulary, writeTinyTokenizer } from '../tiny/tokenizer.ts';

/** One of each way to embed, to lay out weights and to attend; LLaMA's runs are tested elsewhere. */
const families = ['bloom', 'gemma3', 'gpt2', 'opt-post-norm-projected', 'phi3'];
/** What is trained, where it is not the layers themselves; and which of their tensors that changes. */
const adapters: Record<string, { spec: object; changes: RegExp }> = {
  bloom: { spec: { type: 'bitfit' }, changes: /\.bias$/ },
  gpt2: { spec: { type: 'lora', rank: 2, alpha: 8 }, changes: /\.c_\w+\.weight$/ },
  phi3: { spec: { type: 'lora', targetModules: ['qkv_proj', 'down_proj'] }, changes: /(qkv|down)_proj/ },
};
const work = workDirectory();
afterAll(work.remove);
const at = (...parts: string[]) => join(work.path, ...parts);
const positions = 256;
let ended: Ended;

beforeAll(async () => {
  writeTinyData(at('data'));
  const manifests = families.flatMap((family) => {
    writeCheckpoint(at(family, 'model'), widened(fixtureOf(family)));
    writeTinyTokenizer(at(family, 'model'));
    const three = Object.values(
      tinyManifests((place) => (place.startsWith('data/') ? `file:${place}` : `file:${family}/${place}`)),
    );
    for (const manifest of three) {
      setField(manifest, 'metadata.name', family);
      for (const other of ['emulator', 'adapter'])
        if (other in manifest.spec) setField(manifest, `spec.${other}.ref.name`, family);
      if (manifest.kind === 'EmulatorBuild') setField(manifest, 'spec.layers', 3);
      if (manifest.kind === 'OffsiteTune') setField(manifest, 'spec.adapter', adapters[family]?.spec);
    }
    return three;
  });
  writeManifests(at('resources.yaml'), manifests);
  ended = await offsite(['run', '-f', at('resources.yaml'), '--work-dir', at('work')]);
});

/** The fixture's checkpoint for the tiny tokenizer and rows of the length that its texts have. */
function widened({ config, dtype, tensors }: Fixture): Pick<Fixture, 'config' | 'dtype' | 'tensors'> {
  const tokens = /(embed_tokens|wte|embed_in|word_embeddings|embed_out|lm_head)\.weight$/;
  const rows = (name: string, [first]: number[]) => {
    if (tokens.test(name)) return tinyVocabulary;
    if (name.endsWith('wpe.weight')) return positions;
    return name.endsWith('embed_positions.weight') ? positions + 2 : first!;
  };
  const longer = 'n_positions' in config ? 'n_positions' : 'max_position_embeddings';
  return {
    config: { ...config, vocab_size: tinyVocabulary, [longer]: positions },
    dtype,
    tensors: tensors.map(([name, shape, ...range]) => [name, shape.with(0, rows(name, shape)), ...range]),
  };
}

test('such families go from probe to plug-in with one set of manifests', () => {
  expect(ended.code, ended.stderr).toBe(0);
});

test.each(families)('%s: only what was trained is other in the saved model', (family) => {
  const status = savedStatus(at('work'), 'EmulatorBuild', family) as unknown as {
    plan: { transferLayers: number[] };
  };
  const [before, after] = [openModel(at(family, 'model')), openModel(at(family, 'out', 'model'))];
  const trained = new Set(
    status.plan.transferLayers.flatMap((layer) =>
      Object.values(before.architecture.block(layer))
        .map(({ name }) => name)
        .filter((name) => adapters[family]?.changes.test(name) ?? true),
    ),
  );
  expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
  for (const name of before.tensors.keys())
    expect(Buffer.compare(after.readBytes(name), before.readBytes(name)) !== 0, name).toBe(trained.has(name));
  expect(after.configText).toBe(before.configText);
  before.close();
  after.close();
});
