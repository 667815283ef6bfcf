// Where a model's tokenizer and chat template are found, and what is checked before they are used.
import { join } from 'node:path';
import { badModel, type JsonBounds } from '../api/index.ts';
import { boundedBytes, type Files, onDisk } from '../artifact/index.ts';
import { type Checkpoint, readJsonFile, readSettings } from '../checkpoint/index.ts';
import type { Limits } from '../subprocess/index.ts';
import { type BesideFiles, checkBeside, configOf } from './beside.ts';
import { type ModelKind, type ReleasedConfig, releasedConfig } from './classes.ts';
import { fromGguf } from './gguf.ts';
import { addedTokens, checkEmbedded, checkLayout, type Json } from './layout.ts';
import { type RunningTokenizer, startTokenizer } from './running.ts';

/** A model's own tokenizer, and how it writes conversations. */
export interface Tokenizer {
  /** The files that a bundle carries: tokenizer.json and tokenizer_config.json. */
  readonly files: readonly { name: string; bytes: Uint8Array }[];
  /** The same with all settings that the model has, by which it is known: earlier versions' bundles carry these. */
  readonly known: Tokenizer['files'];
  /** The same files as a released model has them, which transformers takes by a class. */
  readonly released: Pick<ReleasedConfig, 'remade'> & Pick<Tokenizer, 'files'>;
  /** The fields of tokenizer_config.json that name code to run: no file has them. */
  readonly leftOut: readonly string[];
  /**
   * Starts it in a process of its own, which `close` ends.
   * @param options.cancelled whether the work is no longer wanted
   * @param options.isPublic whether what it will be asked is nobody's secret: no, when absent
   * @throws OffsiteError BadModel naming the file where the reference library does not take it; Cancelled
   */
  start(options?: StartOptions): Promise<RunningTokenizer>;
}

export interface StartOptions {
  readonly cancelled?: () => boolean;
  readonly limits?: Limits;
  readonly isPublic?: boolean;
}

/** Whose tokenizer is opened, and where it lies. */
export interface TokenizerOf {
  readonly checkpoint?: Checkpoint;
  /** How many rows the model's embedding has; not checked when absent. */
  readonly rows?: number;
  readonly files?: Files;
  /** What the model's config.json says of the class that takes its tokenizer. */
  readonly model?: ModelKind;
}

/**
 * Opens the tokenizer beside a checkpoint: tokenizer.json in the directory, or the one inside GGUF's metadata.
 * @throws OffsiteError BadModel naming the file, the kind of tokenizer that is not supported, or a token without a row
 */
export function openTokenizer(
  directory: string,
  { checkpoint, rows, files = onDisk, model = {} }: TokenizerOf = {},
): Tokenizer {
  const file = join(directory, 'tokenizer.json');
  if (files.has(file)) {
    const tokenizer = readJson(file, files);
    const { config, whole, leftOut } = readConfig(directory, files);
    if (typeof tokenizer['model'] !== 'object' || tokenizer['model'] === null)
      throw badModel(`${file}: the tokenizer cannot be used: it has no model`);
    const beside = besideOf(directory, config, files);
    checkBeside(tokenizer, beside);
    const known = configOf({ ...beside, config: { ...beside.config, value: whole } });
    return make(tokenizer, configOf(beside), { file, rows, model, leftOut, whole: known });
  }
  if (isInside(checkpoint)) {
    const { tokenizer, config } = fromGguf(checkpoint.metadata);
    checkTemplate(config, directory);
    checkBeside(tokenizer, { config: { file: directory, value: config } });
    return make(tokenizer, config, { file: directory, rows, model, leftOut: [], whole: config });
  }
  throw badModel(missing(directory, files));
}

/** Whether there is a tokenizer beside or in a checkpoint. */
export function hasTokenizer(directory: string, checkpoint: Checkpoint, files: Files): boolean {
  return files.has(join(directory, 'tokenizer.json')) || isInside(checkpoint);
}

function isInside(checkpoint: Checkpoint | undefined): checkpoint is Checkpoint {
  return checkpoint !== undefined && 'tokenizer.ggml.model' in checkpoint.metadata;
}

/** What older checkpoints have instead, and how it is made into tokenizer.json. */
function missing(directory: string, files: Files): string {
  const older = ['vocab.json', 'merges.txt', 'tokenizer.model', 'spiece.model', 'vocab.txt'];
  const there = older.filter((name) => files.has(join(directory, name)));
  if (there.length === 0)
    return `${directory}: holds no tokenizer.json, and there is no tokenizer inside the checkpoint`;
  return (
    `${directory}: holds no tokenizer.json but ${there.join(' and ')}; transformers makes it of them:` +
    ` python -c "from transformers import AutoTokenizer as T; T.from_pretrained('${directory}').save_pretrained('${directory}')"`
  );
}

/** tokenizer_config.json, with the chat template that newer checkpoints keep in a file of its own. */
function readConfig(
  directory: string,
  files: Files,
): Pick<Tokenizer, 'leftOut'> & { config: Json; whole: Json } {
  const [file, templateFile] = [
    join(directory, 'tokenizer_config.json'),
    join(directory, 'chat_template.jinja'),
  ];
  const { value, leftOut, whole } = files.has(file)
    ? readSettings(file, { bounds, files })
    : { value: {}, leftOut: [], whole: {} };
  const [config, all] = [objectIn(file, value), objectIn(file, whole)];
  if (files.has(templateFile)) {
    const template = { chat_template: readTemplate(templateFile, files) };
    return { config: { ...config, ...template }, whole: { ...all, ...template }, leftOut };
  }
  checkTemplate(config, file);
  return { config, whole: all, leftOut };
}

function besideOf(directory: string, config: Json, files: Files): BesideFiles {
  const read = (name: string) => {
    const file = join(directory, name);
    return files.has(file) ? { file, value: readJson(file, files) } : undefined;
  };
  return {
    config: { file: join(directory, 'tokenizer_config.json'), value: config },
    specialTokensMap: read('special_tokens_map.json'),
    addedTokens: read('added_tokens.json'),
  };
}

interface Origin extends Pick<Tokenizer, 'leftOut'> {
  readonly whole: Json;
  readonly file: string;
  readonly rows: number | undefined;
  readonly model: ModelKind;
}

function make(tokenizer: Json, config: Json, { file, rows, model, leftOut, whole }: Origin): Tokenizer {
  checkLayout(tokenizer, file);
  const { config: named, tokens: specialTokens, ...remade } = releasedConfig(tokenizer, config, model);
  const template = templateText(config['chat_template']);
  const used = [template ?? '', ...Object.values(specialTokens)].join('\n');
  if (rows !== undefined) checkEmbedded(tokenizer, { rows, written: used, file });
  const bytes = (value: Json) => new TextEncoder().encode(JSON.stringify(value));
  const filesOf = (parts: Json, settings: Json) => [
    { name: 'tokenizer.json', bytes: bytes(parts) },
    { name: 'tokenizer_config.json', bytes: bytes(settings) },
  ];
  return {
    get files() {
      return filesOf(tokenizer, config);
    },
    get known() {
      return filesOf(tokenizer, whole);
    },
    leftOut,
    get released() {
      // transformers names a padding token by how it fills up, which is not done here.
      return { files: filesOf({ ...tokenizer, padding: null, truncation: null }, named), ...remade };
    },
    start(options = {}) {
      const loaded = {
        // How tokens become text again is of no use here.
        tokenizer: JSON.stringify({ ...tokenizer, decoder: null }),
        added: addedTokens(tokenizer).map(({ id, content, normalized = false }) => ({
          id,
          content,
          normalized,
        })),
        rows,
        template: template === undefined ? undefined : { text: template, specialTokens },
        bos: specialTokens['bos_token'],
        eos: specialTokens['eos_token'],
      };
      return startTokenizer(loaded, { file, ...options });
    },
  };
}

/** Of several templates the last that is named `default`, as transformers has it. */
function templateText(template: unknown): string | undefined {
  if (!Array.isArray(template)) return typeof template === 'string' ? template : undefined;
  const named = template as ({ name?: unknown; template?: unknown } | null)[];
  const text = named.findLast((entry) => entry?.name === 'default')?.template;
  return typeof text === 'string' ? text : undefined;
}

/** The largest in use has 25 kB. */
const largestTemplate = 2 ** 20;

function readTemplate(file: string, files: Files): string {
  const bytes = boundedBytes(file, largestTemplate);
  if (bytes === 'too long') throw badModel(`${file}: is larger than ${largestTemplate / 2 ** 20} MiB`);
  if (bytes === 'no file') throw badModel(`${file}: is no plain file`);
  files.confirm(file, bytes);
  try {
    // As Python reads it: a byte order mark is a character of the text.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw badModel(`${file}: is no UTF-8`);
  }
}

function checkTemplate(config: Json, file: string): void {
  const template = templateText(config['chat_template']);
  if (template !== undefined && template.length > largestTemplate)
    throw badModel(`${file}: its chat template is larger than ${largestTemplate / 2 ** 20} MiB`);
}

/** The largest in use (262,144 tokens, 514,906 merges) has a quarter of that. */
const bounds: JsonBounds = { bytes: 128 * 2 ** 20, depth: 64, values: 8_000_000 };

function readJson(file: string, files: Files): Json {
  return objectIn(file, readJsonFile(file, bounds, files).value);
}

function objectIn(file: string, value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badModel(`${file}: is not a JSON object`);
  return value as Json;
}
