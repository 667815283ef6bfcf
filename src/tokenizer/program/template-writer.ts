// Rendering chat templates from outside: bounded, deterministic, and with no data in errors.
import { Fault, Program, Refusal, type Value } from './jinja/index.ts';
import type { Conversation, Template, Unwritten, Written } from './messages.ts';

/** Of a conversation as it is written: as much as a row's text may have. One that is long itself is the row's fault. */
const longestText = 2 ** 20;

const lengthOf = (messages: Conversation['messages']) =>
  messages.reduce((sum, { role, content }) => sum + role.length + content.length, 0);

/** Interprets a chat template (Jinja) as transformers does; what it does not have of Jinja it refuses by name. */
export class TemplateWriter {
  readonly #program: Program | string;
  readonly #specialTokens: Template['specialTokens'];

  constructor({ text, specialTokens }: Template) {
    this.#program = programOf(text);
    this.#specialTokens = specialTokens;
  }

  /** The conversation as it is written, or why it is not. */
  write({ messages, generationPrompt }: Conversation): Written | Unwritten {
    if (typeof this.#program === 'string') return { failed: this.#program, isOfText: true };
    const values = new Map<string, Value>([
      ...Object.entries(this.#specialTokens),
      ['messages', messages.map(({ role, content }) => new Map(Object.entries({ role, content })))],
      // As transformers gives them where nobody has any.
      ['tools', null],
      ['documents', null],
      ['add_generation_prompt', generationPrompt],
    ]);
    try {
      return this.#program.render(values, Math.max(longestText, 2 * lengthOf(messages)));
    } catch (error) {
      return error instanceof Refusal ? { refused: true } : { failed: wordsOf(error), isOfText: false };
    }
  }
}

/** The program, or why it is none: only a conversation needs it. */
function programOf(text: string): Program | string {
  try {
    return new Program(text);
  } catch (error) {
    return wordsOf(error);
  }
}

/** Only a fault's own words hold nothing of a conversation. */
function wordsOf(error: unknown): string {
  if (error instanceof Fault) return error.message;
  return error instanceof RangeError
    ? 'it is nested too deep, or writes too much'
    : 'an expression in it fails';
}
