// The protocol between the tokenizer process and its parent.

/** What the process is to compute, one request at a time. */
export type Request =
  | {
      what: 'load';
      /** tokenizer.json's text. */
      tokenizer: string;
      added: readonly AddedText[];
      /** The tokens whose ids are asked for. */
      names: readonly string[];
      /** How many rows the embedding has; tokens behind them are told. */
      rows?: number | undefined;
      template?: Template | undefined;
    }
  | { what: 'encode'; texts: readonly string[]; specialTokens: boolean; offsets: boolean }
  | { what: 'render'; conversations: readonly Conversation[] };

/** An added token as it is looked for. */
export interface AddedText {
  readonly id: number;
  readonly content: string;
  /** Whether it is looked for in what the normalizer has made of a text. */
  readonly normalized: boolean;
}

/** The model's template and the special tokens that it may write, by their names (`eos_token`). */
export interface Template {
  readonly text: string;
  readonly specialTokens: Readonly<Record<string, string>>;
}

export interface Conversation {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** Whether what stands before an answer of the assistant is added. */
  readonly generationPrompt: boolean;
}

/** A conversation as the template writes it. */
export interface Written {
  readonly text: string;
  /** What stands between the template's own `generation` tags, [from, to) of the text; none where it has no such tags. */
  readonly generations: readonly (readonly [from: number, to: number])[];
  /** Whether the template has such tags at all. */
  readonly isMarked: boolean;
}

/** Why a template does not write a conversation: its own word, or a fault, which the template's text has (`isOfText`) or the conversation leads to. */
export type Unwritten = { refused: true } | { failed: string; isOfText: boolean };

/** What it answers: `failed` is the model's fault, with the reason. */
export type Reply =
  | { ids: (number | undefined)[] }
  | { encodings: Encodings }
  | { written: (Written | Unwritten)[] }
  | { failed: string };

/** Encodings of several texts, one behind the other. */
export interface Encodings {
  readonly ids: Int32Array;
  /** Of each text: how many tokens, and how many of the first and last the tokenizer's own rule puts around it (BOS, EOS). */
  readonly lengths: Int32Array;
  readonly leading: Int32Array;
  readonly trailing: Int32Array;
  /** Of each token the part of its text, [from, to) in UTF-16 units, two numbers a token; empty unless asked for. */
  readonly offsets: Int32Array;
  /** The first text with a token that has no row in the embedding. */
  readonly beyond?: number | undefined;
}
