// The files that belong to a model beside what is computed on: licences, cards, vocabularies.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { badModel } from '../api/index.ts';
import { copyModelFile } from '../artifact/index.ts';

/** A file that lies beside the weights. */
export interface Companion {
  readonly name: string;
  readonly path: string;
  /** Whether whoever gets weights must get it too. */
  readonly licence: boolean;
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
const licences = /^(LICEN[CS]E|COPYING|NOTICE|USE_POLICY)([._-][\w.-]{1,64})?$/i;

/** Whether a file of this name goes with a model. */
export const isCompanion = (name: string): boolean => forUsers.has(name) || licences.test(name);

/** A vocabulary has some ten megabytes; these are copied, never read. */
const largest = 64 << 20;
const mostFiles = 32;

/**
 * The files of these names in a model's directory; no others are looked at.
 * @throws OffsiteError BadModel where one is no file, or too large for what its name says
 */
export function companionsOf(directory: string): Companion[] {
  const found = readdirSync(directory).filter(isCompanion);
  if (found.length > mostFiles)
    throw badModel(
      `${directory}: holds ${found.length} licences and notices; at most ${mostFiles} are taken`,
    );
  return found.sort().map((name) => {
    const path = join(directory, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile()) throw badModel(`${path}: is no plain file`);
    if (stat.size > largest)
      throw badModel(`${path}: has ${stat.size} bytes; at most ${largest} are taken of such a file`);
    return { name, path, licence: licences.test(name) };
  });
}

/**
 * Copies one to where nothing is.
 * @throws OffsiteError BadModel where it is no file by now, or too large
 */
export const copyCompanion = ({ name, path }: Companion, directory: string): void =>
  copyModelFile(path, join(directory, name), largest);
