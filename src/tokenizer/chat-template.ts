import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { badModel } from '../api/index.ts';

type Json = Record<string, unknown>;

/** Writes a conversation as the model's own template (Jinja) has it. */
export interface ChatTemplate {
  /**
   * @param generationPrompt whether what stands before an answer of the assistant is added
   * @throws Error where the template refuses the conversation (its roles or their order)
   */
  render(messages: readonly { role: string; content: string }[], generationPrompt: boolean): string;
}

/**
 * The template in tokenizer_config.json's `chat_template`; of several, the one named `default`.
 * @throws OffsiteError BadModel naming the file when it cannot be parsed
 */
export function chatTemplateOf(config: Json, where: string): ChatTemplate | undefined {
  const text = templateText(config['chat_template']);
  if (text === undefined) return undefined;
  let program: ReturnType<typeof parse>;
  try {
    program = parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
  } catch (error) {
    throw badModel(`${where}: its chat template cannot be used: ${(error as Error).message}`);
  }
  return {
    render(messages, generationPrompt) {
      const environment = new Environment();
      const names = {
        messages,
        add_generation_prompt: generationPrompt,
        ...specialTokens(config),
        ...builtIns,
      };
      for (const [name, value] of Object.entries(names)) environment.set(name, value);
      return (new Interpreter(environment).run(program) as { value: string }).value;
    },
  };
}

/** What transformers defines for every template. Without its clock: the same rows must give the same tokens on any day. */
const builtIns = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range: (...bounds: unknown[]) => {
    const [from, to] = bounds.length > 1 ? bounds : [0, bounds[0]];
    return Array.from({ length: Math.max(0, Number(to) - Number(from)) }, (_, i) => Number(from) + i);
  },
};

function templateText(template: unknown): string | undefined {
  if (!Array.isArray(template)) return typeof template === 'string' ? template : undefined;
  const named = template as { name?: string; template?: string }[];
  return named.find(({ name }) => name === 'default')?.template;
}

/** `bos_token`, `eos_token` and their like, as text. */
function specialTokens(config: Json): Record<string, string> {
  const entries = Object.entries(config).flatMap(([name, value]) => {
    const text = typeof value === 'string' ? value : (value as { content?: unknown } | null)?.content;
    return name.endsWith('_token') && typeof text === 'string' ? [[name, text]] : [];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}
