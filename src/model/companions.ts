// The files that belong to a model beside what is computed on: licences, cards, vocabularies.
import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import type { CheckedFiles, WrittenFiles } from '../artifact/index.ts';
import { readSettings } from '../checkpoint/index.ts';

/** A file that lies beside the weights. */
export interface Companion {
  readonly name: string;
  /** Whether whoever gets weights must get it too. */
  readonly licence: boolean;
  /** Its fields that name code to run: it goes without them. */
  readonly leftOut: readonly string[];
  /**
   * Copies it to where it is not.
   * @throws OffsiteError BadModel where it is not what was hashed
   */
  copy(to: WrittenFiles): void;
}

/** What a model's users need beside weights, config.json and tokenizer: how it generates, its tokens, its card. */
const forUsers: ReadonlySet<string> = new Set([
  'generation_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'README.md',
]);
/** Those of them that are settings by name; the others' names are tokens. */
const settings: ReadonlySet<string> = new Set(['generation_config.json', 'special_tokens_map.json']);
const licences = /^(LICEN[CS]E|COPYING|NOTICE|USE_POLICY)([._-][\w.-]{1,64})?$/i;
/** What may follow the last dot of a name that is copied: text, a version, or whose licence it is. What a system would run is none of it. */
const ofText = /^(te?xt|md|markdown|rst|adoc|\d+|apache|mit|bsd|l?gpl|agpl|mpl|lesser|model|code|llama\d*)$/i;

function isLicence(name: string): boolean {
  const [, ending] = /\.([^.]*)$/.exec(name) ?? [];
  return licences.test(name) && (ending === undefined || ofText.test(ending));
}

/** Whether a file of this name goes with a model. */
const isCompanion = (name: string): boolean => forUsers.has(name) || isLicence(name);

/** Whether one may lie in an artifact: earlier versions copied a licence whatever its name ended with, such as LICENSE.html. */
export const mayBeCompanion = (name: string): boolean => forUsers.has(name) || licences.test(name);

/** A vocabulary has some ten megabytes; but for settings these are copied, never read. */
const largest = 64 << 20;
const mostFiles = 32;
const asItIs = { text: '', leftOut: [] };

/**
 * The files of these names in a model's directory, as they were hashed; what has come since is none of them.
 * @throws OffsiteError BadModel where one is a directory, too large for what its name says, or of settings and no JSON
 */
export function companionsOf(directory: string, files: CheckedFiles): Companion[] {
  const found = files.names(directory).filter(isCompanion);
  if (found.length > mostFiles)
    throw badModel(
      `${directory}: holds ${found.length} licences and notices; at most ${mostFiles} are taken`,
    );
  return found.sort().map((name) => {
    const path = join(directory, name);
    if (!files.has(path)) throw badModel(`${path}: is no plain file`);
    const size = files.size(path);
    if (size > largest)
      throw badModel(`${path}: has ${size} bytes; at most ${largest} are taken of such a file`);
    const { text, leftOut } = settings.has(name) ? readSettings(path, { files }) : asItIs;
    return {
      name,
      licence: isLicence(name),
      leftOut,
      copy: (to) =>
        leftOut.length > 0
          ? to.write(name, text)
          : to.add(name, (target) => files.copy(path, target, largest)),
    };
  });
}
