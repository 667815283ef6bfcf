import { type Model, openModel } from '../../model/index.ts';
import type { Found } from './command.ts';
import { checkValues } from './tensors.ts';

/** A whole model: its tensors are those of its config.json, every weight is finite, and its tokenizer is one. */
export async function checkModel(path: string): Promise<Found> {
  const model = openModel(path);
  try {
    await checkContents(model, path);
    const { family, depth } = model.architecture;
    return { tensors: model.tensors.size, detail: `${family} of ${depth} layers; every value is finite` };
  } finally {
    model.close();
  }
}

/** Values, tokenizer and chat template. */
export async function checkContents(model: Model, path: string): Promise<void> {
  for (const tensor of model.tensors.values())
    checkValues(tensor, (name, options) => model.read(name, options), path);
  const tokenizer = await model.tokenizer.start();
  tokenizer.close();
}
