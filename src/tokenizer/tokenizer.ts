import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { badModel } from '../api/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import { type ChatTemplate, chatTemplateOf } from './chat-template.ts';
import { fromGguf } from './gguf.ts';

/** A model's own tokenizer. */
export interface Tokenizer {
  /** Token ids; with the tokenizer's own special tokens (a leading BOS, say) unless told otherwise. */
  encode(text: string, options?: { specialTokens?: boolean }): number[];
  /** The token that ends a text, where there is one. */
  readonly eos: number | undefined;
  /** How it writes conversations, where it can. */
  readonly chat: ChatTemplate | undefined;
  /** The files that a bundle carries: tokenizer.json and tokenizer_config.json. */
  readonly files: readonly { name: string; bytes: Uint8Array }[];
}

/**
 * Opens the tokenizer beside a checkpoint: tokenizer.json in the directory, or the one inside GGUF's metadata.
 * @throws OffsiteError BadModel naming the file, or the kind of tokenizer that is not supported
 */
export function openTokenizer(directory: string, checkpoint?: Checkpoint): Tokenizer {
  const file = join(directory, 'tokenizer.json');
  if (existsSync(file)) {
    return make(readJson(file), readConfig(directory), file);
  }
  if (checkpoint !== undefined && 'tokenizer.ggml.model' in checkpoint.metadata) {
    const { tokenizer, config } = fromGguf(checkpoint.metadata);
    return make(tokenizer, config, directory);
  }
  throw badModel(`${directory}: holds no tokenizer.json, and there is no tokenizer inside the checkpoint`);
}

type Json = Record<string, unknown>;

/** tokenizer_config.json, with the chat template that newer checkpoints keep in a file of its own. */
function readConfig(directory: string): Json {
  const [file, templateFile] = [
    join(directory, 'tokenizer_config.json'),
    join(directory, 'chat_template.jinja'),
  ];
  const config = existsSync(file) ? readJson(file) : {};
  return existsSync(templateFile) ? { ...config, chat_template: readFileSync(templateFile, 'utf8') } : config;
}

function make(tokenizer: Json, config: Json, where: string): Tokenizer {
  let hub: HubTokenizer;
  try {
    hub = new HubTokenizer(tokenizer, config);
  } catch (error) {
    throw badModel(`${where}: the tokenizer cannot be used: ${(error as Error).message}`);
  }
  const eosToken = config['eos_token'];
  const eosText =
    typeof eosToken === 'string' ? eosToken : (eosToken as { content?: string } | undefined)?.content;
  const bytes = (value: Json) => new TextEncoder().encode(JSON.stringify(value));
  return {
    encode: (text, { specialTokens = true } = {}) =>
      hub.encode(text, { add_special_tokens: specialTokens }).ids,
    eos: eosText === undefined ? undefined : hub.token_to_id(eosText),
    chat: chatTemplateOf(config, where),
    files: [
      { name: 'tokenizer.json', bytes: bytes(tokenizer) },
      { name: 'tokenizer_config.json', bytes: bytes(config) },
    ],
  };
}

function readJson(file: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw badModel(`${file}: is not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badModel(`${file}: is not a JSON object`);
  return value as Json;
}
