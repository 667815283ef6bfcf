// Verification of a LoRA adapter where its model is not at hand.
import { join } from 'node:path';
import { badModel, type OffsiteTuneSpec } from '../api/index.ts';
import type { Files } from '../artifact/index.ts';
import { type Checkpoint, configBounds, readJsonFile } from '../checkpoint/index.ts';
import { loraOptionsOf, peftConfigOf } from '../tuning/index.ts';
import { adapterFile } from './adapter.ts';
import { checkFactors, type Factor } from './factors.ts';
import { trainedIn } from './origin.ts';
import { peftFiles } from './peft-adapter.ts';

const factorName = /^base_model\.model\.((?:\w+\.)*?)(\d{1,6})\.((?:\w+\.)*\w+)\.lora_([AB])\.weight$/;
const withFactor = (name: string, factor: 'A' | 'B') => name.replace(/[AB]\.weight$/, `${factor}.weight`);
const headName = 'base_model.model.lm_head.weight';

/**
 * Checks a LoRA adapter as far as it goes without its model: whole pairs of factors of the manifest's rank, of the same linear
 * maps in each of its layers, which can be run one after the other, and nothing else.
 * @param directory names it in errors
 * @returns adapter_config.json as the manifest and the tensors imply it
 * @throws OffsiteError BadModel naming the tensor
 */
export function checkLoraAlone(
  directory: string,
  checkpoint: Pick<Checkpoint, 'tensors' | 'read'>,
  type: OffsiteTuneSpec['adapter'],
): string {
  const file = join(directory, adapterFile);
  const options = loraOptionsOf(type);
  const { rank, head, targetModules } = options;
  const byLayer = new Map<number, Set<string>>();
  const prefixes = new Set<string>();
  for (const { name, dtype, shape } of checkpoint.tensors.values()) {
    if (dtype !== 'F32') throw badModel(`${file}: tensor ${name} is ${dtype}; an adapter's tensors are F32`);
    if (head && name === headName && shape.length === 2) continue;
    const [, prefix = '', layer, path, factor] = factorName.exec(name) ?? [];
    if (path === undefined)
      throw badModel(
        `${file}: tensor ${name} [${shape}] is none that an adapter has whose manifest says lora${head ? ' with head' : ''}`,
      );
    if (shape.length !== 2 || shape[factor === 'A' ? 0 : 1] !== rank)
      throw badModel(
        `${file}: tensor ${name} is [${shape}], which is not of rank ${rank} as the manifest says`,
      );
    const other = withFactor(name, factor === 'A' ? 'B' : 'A');
    if (!checkpoint.tensors.has(other))
      throw badModel(`${file}: lacks tensor ${other}, the other factor of ${name}`);
    prefixes.add(prefix);
    byLayer.set(Number(layer), (byLayer.get(Number(layer)) ?? new Set()).add(path));
  }
  const layers = [...byLayer.keys()].sort((a, b) => a - b);
  const [first] = byLayer.values();
  if (first === undefined) throw badModel(`${file}: holds no factors (lora_A, lora_B)`);
  if (prefixes.size > 1) throw badModel(`${file}: names layers of different parts of a model`);
  const odd = layers.find((layer) => !isSame(byLayer.get(layer)!, first));
  if (odd !== undefined)
    throw badModel(`${file}: changes other linear maps in layer ${odd} than in its other layers`);
  if (head && !checkpoint.tensors.has(headName))
    throw badModel(`${file}: lacks tensor ${headName}, which its manifest says was trained`);
  const modules = new Set([...first].map((path) => path.split('.').at(-1) as string));
  if (targetModules !== undefined && !isSame(modules, new Set(targetModules)))
    throw badModel(
      `${file}: changes ${[...modules].join(', ')}; the manifest's targetModules are ${targetModules.join(', ')}`,
    );
  for (const a of checkpoint.tensors.keys())
    if (a === withFactor(a, 'A')) checkPair(directory, checkpoint, a, options);
  return peftConfigOf(options, {
    modules: targetModules ?? [...modules],
    layers,
    transposed: [...modules].some((name) => conv1dModules.has(name)),
  });
}

function checkPair(
  directory: string,
  checkpoint: Pick<Checkpoint, 'read'>,
  nameOfA: string,
  { rank, alpha }: ReturnType<typeof loraOptionsOf>,
): void {
  const [a, b] = [nameOfA, withFactor(nameOfA, 'B')].map((name) => ({
    name,
    values: checkpoint.read(name),
  })) as [Factor, Factor];
  checkFactors(trainedIn(directory), { a, b, rank, scale: alpha / rank });
}

/** GPT-2's, which transformers keeps as [from, to]; no other family has maps of these names. */
const conv1dModules: ReadonlySet<string> = new Set(['c_attn', 'c_proj', 'c_fc']);

const isSame = (a: ReadonlySet<string>, b: ReadonlySet<string>) =>
  a.size === b.size && [...a].every((name) => b.has(name));

/**
 * What PEFT and vLLM do with an adapter follows from its adapter_config.json: which code is loaded, of which model, and how much
 * the factors count. It says what the manifest implies, and not a word more.
 * @param implied its text; undefined for an adapter that has none
 * @param files the adapter's
 * @throws OffsiteError BadModel naming the setting
 */
export function checkPeftConfig(directory: string, implied: string | undefined, files: Files): void {
  const file = join(directory, peftFiles.config);
  if (implied === undefined) {
    if (files.has(file)) throw badModel(`${file}: only an adapter of type lora has one`);
    return;
  }
  if (!files.has(file)) throw badModel(`${file}: is not there; an adapter of type lora has one`);
  const { value: written, text } = readJsonFile(file, configBounds, files);
  if (typeof written !== 'object' || written === null || Array.isArray(written))
    throw badModel(`${file}: is no object`);
  // Of a name that stands twice one reader takes the first, another the last.
  if (withoutBlanks(text) !== JSON.stringify(written))
    throw badModel(
      `${file}: has a name twice, or a value in an unusual spelling; write each once, as plain JSON`,
    );
  const found = new Map<string, unknown>(Object.entries(written));
  const wanted = new Map<string, unknown>(Object.entries(JSON.parse(implied) as object));
  for (const name of new Set([...wanted.keys(), ...found.keys()])) {
    const right = wanted.get(name);
    if (inAnyOrder(found.get(name)) === inAnyOrder(right)) continue;
    throw badModel(
      right === undefined
        ? `${file}: ${name}: is not for an adapter to set; it must be absent`
        : `${file}: ${name}: must be ${JSON.stringify(right)}, as the manifest and the tensors say`,
    );
  }
}

/** JSON that was parsed, without the blanks between its values. */
const withoutBlanks = (text: string) => text.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, '$1');

/** Lists of modules and layers are sets. */
const inAnyOrder = (value: unknown) =>
  JSON.stringify(Array.isArray(value) ? value.map((entry) => JSON.stringify(entry)).sort() : value);
