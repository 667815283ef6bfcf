/** A publisher lays links in a model's directory: what they lead to goes to nobody. */
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
import { WrittenFiles } from '../../../src/artifact/index.ts';
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

const refused = (file: string, place: string) =>
  expect.objectContaining({
    reason: 'BadModel',
    message: `${file}: is a symbolic link to ${place}, which is no file of the model's own, and would be given on with it: look at what that is, and only where it is the model's put the file itself there (cp -L)`,
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
