/** A publisher lays links in a directory of a model or of rows: neither what they lead to nor its sha256 goes to anybody. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, WrittenFiles } from '../../../src/artifact/index.ts';
import { printDigest } from '../../../src/cli/digest.ts';
import { dataDigest } from '../../../src/data/index.ts';
import { openModel } from '../../../src/model/index.ts';
import { writeTinyModel } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-own-files-'));
const at = (...parts: string[]) => join(root, ...parts);
const place = at('here');
const here = (...parts: string[]) => join(place, ...parts);
beforeAll(() => writeTinyModel(at('tiny'), { layers: 1, hidden: 16, intermediate: 16 }));
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(place, { recursive: true, force: true });
  cpSync(at('tiny'), here('model'), { recursive: true });
  write(here('private/key'), 'of the user');
});

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** The model as the hub's cache has it: every file a link to its bytes. @returns its snapshot */
function toHubCache(repository: string): string {
  const [snapshot, blobs] = [here(repository, 'snapshots/0123abcd'), here(repository, 'blobs')];
  mkdirSync(snapshot, { recursive: true });
  renameSync(here('model'), blobs);
  for (const name of readdirSync(blobs)) symlinkSync(`../../blobs/${name}`, join(snapshot, name));
  return snapshot;
}

/** What goes with a model. */
function copied(model: string): Record<string, string> {
  const opened = openModel(model);
  const to = mkdtempSync(at('copied-'));
  for (const companion of opened.companions) companion.copy(new WrittenFiles(to));
  opened.close();
  return Object.fromEntries(readdirSync(to).map((name) => [name, readFileSync(join(to, name), 'utf8')]));
}

const refused = (file: string, place: string, reason = 'BadModel') =>
  expect.objectContaining({
    reason,
    message: `${file}: leads by a symbolic link to ${place}, which is no file of its directory's own, and would be given on, or its sha256: look at what that is, and take it out, or only where it belongs there put the file itself there (cp -L)`,
  });

describe('of a model that is copied as it stands', () => {
  it.each([
    ...['LICENSE', 'NOTICE.txt', 'README.md', 'chat_template.jinja', 'tokenizer_config.json'],
    ...['generation_config.json', 'special_tokens_map.json', 'vocab.json', 'merges.txt', 'tokenizer.model'],
  ])('%s is no link to what lies elsewhere, and that is not read', (name) => {
    const file = here('model', name);
    rmSync(file, { force: true });
    symlinkSync('../private/key', file);
    // Were a byte of it looked at, it would be refused as a hole.
    truncateSync(here('private/key'), 2 ** 40);
    expect(() => openModel(here('model'))).toThrow(refused(file, here('private/key')));
  });

  it.each<[what: string, lay: () => { model?: string; leadsTo?: string }]>([
    [
      'by another link',
      () => {
        symlinkSync('NOTICE', here('model/LICENSE'));
        symlinkSync('../private/key', here('model/NOTICE'));
        return {};
      },
    ],
    [
      'by a link to a directory',
      () => {
        symlinkSync('../private', here('model/docs'));
        symlinkSync('docs/key', here('model/LICENSE'));
        return {};
      },
    ],
    [
      'beside the directory, by the beginning of its name',
      () => {
        write(here('model-of-the-user/key'), '');
        symlinkSync('../model-of-the-user/key', here('model/LICENSE'));
        return { leadsTo: here('model-of-the-user/key') };
      },
    ],
    [
      'of a directory that is itself named by a link',
      () => {
        symlinkSync('../private/key', here('model/LICENSE'));
        symlinkSync('model', here('named'));
        return { model: here('named') };
      },
    ],
    [
      'in what is hidden there',
      () => {
        write(here('model/.git/config'), 'url = https://me:token@example.com');
        symlinkSync('.git/config', here('model/LICENSE'));
        return { leadsTo: here('model/.git/config') };
      },
    ],
    [
      'from a snapshot of the hub’s cache',
      () => {
        const model = toHubCache('models--team--tiny');
        symlinkSync('../../../private/key', join(model, 'LICENSE'));
        return { model };
      },
    ],
    [
      'in another repository of the cache',
      () => {
        const model = toHubCache('models--team--tiny');
        write(here('models--me--secret/blobs/1'), '');
        symlinkSync('../../../models--me--secret/blobs/1', join(model, 'LICENSE'));
        return { model, leadsTo: here('models--me--secret/blobs/1') };
      },
    ],
    [
      'by blobs that are a link',
      () => {
        const model = toHubCache('models--team--tiny');
        symlinkSync('../../private', here('models--team--tiny/blobs/more'));
        symlinkSync('../../blobs/more/key', join(model, 'LICENSE'));
        return { model, leadsTo: here('private/key') };
      },
    ],
    [
      'in blobs that are no cache’s',
      () => {
        const model = toHubCache('smollm2');
        write(here('smollm2/blobs/1'), '');
        symlinkSync('../../blobs/1', join(model, 'LICENSE'));
        return { model, leadsTo: here('smollm2/blobs/1') };
      },
    ],
  ])('nothing leads %s', (_, lay) => {
    const { model = here('model'), leadsTo = here('private/key') } = lay();
    expect(() => openModel(model)).toThrow(refused(join(model, 'LICENSE'), leadsTo));
  });

  it('files are taken by links that stay in its directory, whatever that is named by', () => {
    write(here('model/legal/MIT'), 'free');
    symlinkSync('legal/MIT', here('model/LICENSE'));
    symlinkSync(here('model/LICENSE'), here('model/NOTICE'));
    symlinkSync('model', here('named'));
    for (const name of ['model', 'named'])
      expect(copied(here(name))).toEqual({ LICENSE: 'free', NOTICE: 'free' });
  });

  it.each(['', 'original'])(
    'files are taken as the hub’s cache has them, in a snapshot’s directory "%s"',
    (below) => {
      write(here('model/LICENSE'), 'free');
      const snapshot = toHubCache('models--team--tiny');
      const model = join(snapshot, below);
      if (below !== '') {
        mkdirSync(model);
        for (const name of readdirSync(here('models--team--tiny/blobs')))
          symlinkSync(`../../../blobs/${name}`, join(model, name));
      }
      symlinkSync(model, here('named'));
      for (const path of [model, here('named')]) expect(copied(path)).toEqual({ LICENSE: 'free' });
    },
  );
});

it('weights, config.json and tokenizer.json are taken wherever they lie: no other file passes for one', () => {
  for (const name of ['model.safetensors', 'config.json', 'tokenizer.json']) {
    renameSync(here('model', name), here('private', name));
    symlinkSync(`../private/${name}`, here('model', name));
  }
  expect(copied(here('model'))).toEqual({});
  for (const name of ['model.safetensors', 'config.json', 'tokenizer.json']) {
    const file = here('model', name);
    rmSync(file);
    symlinkSync('../private/key', file);
    expect(() => openModel(here('model'))).toThrow(expect.objectContaining({ reason: 'BadModel' }));
    rmSync(file);
    symlinkSync(`../private/${name}`, file);
  }
});

describe('of a model that is only hashed', () => {
  it.each<[what: string, file: string, lay?: () => void]>([
    ['any file', 'notes.bin'],
    ['a hidden one', '.notes'],
    ['a signature', 'manifest.dsse.json'],
    ['weights beside those that are opened', 'other.safetensors'],
    ['GGUF beside safetensors', 'other.gguf'],
    ['an index beside weights in one file', 'model.safetensors.index.json'],
    ['weights further down', 'original/model.safetensors', () => mkdirSync(here('model/original'))],
    ['a configuration further down', 'original/config.json', () => mkdirSync(here('model/original'))],
    ['what lies in a directory by a link', 'docs/key', () => symlinkSync('../private', here('model/docs'))],
    [
      'weights that the index does not name',
      'model-00002-of-00002.safetensors',
      () => {
        renameSync(here('model/model.safetensors'), here('model/model-00001-of-00002.safetensors'));
        const index = { weight_map: { a: 'model-00001-of-00002.safetensors' } };
        write(here('model/model.safetensors.index.json'), JSON.stringify(index));
      },
    ],
    [
      'config.json beside GGUF',
      'config.json',
      () => {
        renameSync(here('model/model.safetensors'), here('model/model.gguf'));
        rmSync(here('model/config.json'));
      },
    ],
  ])('%s is no link to what lies elsewhere, and that is not read: %s', (_, name, lay) => {
    lay?.();
    const file = here('model', name);
    if (name !== 'docs/key') symlinkSync(here('private/key'), file);
    truncateSync(here('private/key'), 2 ** 40);
    expect(() => openModel(here('model'))).toThrow(refused(file, here('private/key')));
    expect(() => printDigest(here('model'), {})).toThrow(refused(file, here('private/key')));
  });

  it('files of its own are taken, be they hidden, linked in it, or in the hub’s cache', () => {
    write(here('model/.git/config'), 'url = https://example.com');
    write(here('model/notes.bin'), 'of the model');
    symlinkSync('notes.bin', here('model/more.bin'));
    openModel(here('model')).close();
    rmSync(here('model/.git'), { recursive: true });
    const snapshot = toHubCache('models--team--tiny');
    openModel(snapshot).close();
    symlinkSync('../../blobs/notes.bin', join(snapshot, '.gitattributes'));
    openModel(snapshot).close();
  });

  it('a hidden file goes by no other name', () => {
    write(here('model/.git/config'), 'url = https://me:token@example.com');
    symlinkSync('.git/config', here('model/notes.bin'));
    expect(() => openModel(here('model'))).toThrow(
      refused(here('model/notes.bin'), here('model/.git/config')),
    );
  });
});

it('shards that the index names are taken wherever they lie, and so is the index', () => {
  const shard = 'model-00001-of-00001.safetensors';
  renameSync(here('model/model.safetensors'), here('private', shard));
  const { tensors, close } = openModel(at('tiny'));
  close();
  const weightMap = Object.fromEntries([...tensors.keys()].map((name) => [name, shard]));
  write(here('private/index'), JSON.stringify({ weight_map: weightMap }));
  symlinkSync(`../private/${shard}`, here('model', shard));
  symlinkSync('../private/index', here('model/model.safetensors.index.json'));
  const { digest, close: end } = openModel(here('model'));
  end();
  const plain = here('plain');
  mkdirSync(plain);
  for (const name of readdirSync(here('model')))
    writeFileSync(join(plain, name), readFileSync(here('model', name)));
  expect(digest).toBe(digestOf(plain));
});

describe('of rows', () => {
  const row = '{"text": "The sky is blue."}\n';
  beforeEach(() => {
    write(here('rows/train-00001.jsonl'), row);
    write(here('private/rows.jsonl'), row);
  });

  it('a shard is no link to what lies elsewhere, also where it lies behind the rows that are taken', () => {
    symlinkSync('../private/key', here('rows/train-00002.jsonl'));
    truncateSync(here('private/key'), 2 ** 40);
    const of = [here('rows/train-00002.jsonl'), here('private/key')] as const;
    expect(() => dataDigest(here('rows'), 'spec.data')).toThrow(refused(...of, 'BadData'));
    expect(() => printDigest(here('rows'), {})).toThrow(refused(...of));
  });

  it('a file that is named, and shards as the hub’s cache has them, are taken', () => {
    symlinkSync('../private/rows.jsonl', here('rows/named.jsonl'));
    expect(dataDigest(here('rows/named.jsonl'), 'spec.data')).toBe(
      dataDigest(here('private/rows.jsonl'), 'spec.data'),
    );
    const data = here('datasets--team--words/snapshots/0123abcd/data');
    mkdirSync(data, { recursive: true });
    write(here('datasets--team--words/blobs/1'), row);
    symlinkSync('../../../blobs/1', join(data, 'train-00001.jsonl'));
    rmSync(here('rows/named.jsonl'));
    expect(dataDigest(data, 'spec.data')).toBe(dataDigest(here('rows'), 'spec.data'));
  });
});
