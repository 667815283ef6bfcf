import { join } from 'node:path';
import { type Fixture, fixtureOf, writeCheckpoint } from '../golden/families/fixture.ts';
import { type Manifest, setField, tinyManifests } from './resources.ts';
import { tinyVocabulary, writeTinyTokenizer } from './tokenizer.ts';

const positions = 256;

/** Writes a family's fixture as a checkpoint for the tiny tokenizer and rows of the length that the tiny texts have. */
export function writeTinyFamily(directory: string, family: string): void {
  writeCheckpoint(directory, widened(fixtureOf(family)));
  writeTinyTokenizer(directory);
}

/**
 * The three tiny manifests for a family's model, in its name.
 * @param uri how a place such as `model`, `data/train.jsonl` or `out/emulator` is addressed
 * @param adapter spec.adapter, where it is not the layers themselves
 */
export function familyManifests(
  family: string,
  uri: (place: string) => string,
  adapter?: object,
): Manifest[] {
  const manifests = tinyManifests(uri);
  for (const manifest of Object.values<Manifest>({ ...manifests })) {
    setField(manifest, 'metadata.name', family);
    for (const other of ['emulator', 'adapter'])
      if (other in manifest.spec) setField(manifest, `spec.${other}.ref.name`, family);
  }
  setField(manifests.build, 'spec.layers', 3);
  setField(manifests.tune, 'spec.adapter', adapter);
  return [manifests.build, manifests.tune, manifests.plug];
}

/**
 * A family's model and its three manifests in a directory whose data/ holds the tiny rows; what they make goes to
 * FAMILY/out there. Addresses are relative to that directory.
 */
export function writeFamilyProject(directory: string, family: string, adapter?: object): Manifest[] {
  writeTinyFamily(join(directory, family, 'model'), family);
  const uri = (place: string) => (place.startsWith('data/') ? `file:${place}` : `file:${family}/${place}`);
  return familyManifests(family, uri, adapter);
}

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
