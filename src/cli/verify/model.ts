// Verification of a model: finite weights, and a tokenizer and chat template that work.
import type { Model } from '../../model/index.ts';
import type { Found } from './found.ts';
import { checkValues } from './tensors.ts';

/** A whole model: its tensors are those of its config.json, every weight is finite, and its tokenizer is one. */
export async function checkModel(model: Model, path: string): Promise<Found> {
  const found = await checkContents(model, path);
  const { family, depth } = model.architecture;
  return { ...found, detail: `${family} of ${depth} layers; every value is finite` };
}

/** Values, tokenizer and chat template; settings that name code to run are told, since honest models have them, too. */
export async function checkContents(model: Model, path: string): Promise<Omit<Found, 'detail'>> {
  for (const tensor of model.tensors.values())
    checkValues(tensor, (name, options) => model.read(name, options), path);
  await checkTokenizer(model);
  const remarks = model.leftOut.map((fields) => `${fields}: names code to run; nothing made of this has it`);
  return { tensors: model.tensors.size, ...(remarks.length > 0 && { remarks }) };
}

/** Of what patterns stumble over: repeated letters with another end, blanks, digits, line feeds. */
const texts = [
  'The sky is blue.',
  `${'a'.repeat(64)}!`,
  `${' '.repeat(64)}x`,
  `${'1'.repeat(64)}a`,
  `${'\n'.repeat(64)}.`,
];
const messages = [
  { role: 'user', content: 'What is blue?' },
  { role: 'assistant', content: 'The sky is.' },
  { role: 'user', content: 'And what is green?' },
];

/** A tokenizer that the library takes, with patterns that end, and a template that can be written by. */
async function checkTokenizer({ tokenizer }: Model): Promise<void> {
  const running = await tokenizer.start({ isPublic: true });
  try {
    await Promise.all(texts.map((text) => running.encode(text)));
    if (running.chat) await running.write({ messages, generationPrompt: true });
  } finally {
    running.close();
  }
}
