// The reader of LoRA adapters in PEFT's format; settings that change what they compute are refused.
import { join } from 'node:path';
import { z } from 'zod';
import { Adapter as adapterSchema, badModel, listOf, type OffsiteTuneSpec } from '../api/index.ts';
import { CheckedFiles, isThere } from '../artifact/index.ts';
import { type Checkpoint, openCheckpoint, readJsonFile } from '../checkpoint/index.ts';
import type { Architecture } from '../model/index.ts';
import { linearModules } from '../tuning/index.ts';

export const peftFiles = { weights: 'adapter_model.safetensors', config: 'adapter_config.json' } as const;

/** A LoRA adapter as PEFT saves it: what it says that it is, and its tensors, unchecked. */
export interface PeftAdapter {
  readonly type: OffsiteTuneSpec['adapter'];
  readonly checkpoint: Checkpoint;
  /** The sha256 of their file. */
  readonly digest: string;
  /** @throws OffsiteError BadModel where what was read is not of that file */
  checkUnchanged(): void;
}

/** Settings that say nothing of the values, or nothing that the tensors' own names and shapes do not say. */
const neutral = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'ensure_weight_tying',
  'eva_config',
  'exclude_modules',
  'fan_in_fan_out',
  'inference_mode',
  'layers_pattern',
  'layers_to_transform',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'target_modules',
  'task_type',
]);

/** What other settings ask for, for the message. */
const methods = new Map(
  Object.entries({
    use_dora: 'DoRA',
    use_rslora: 'rsLoRA',
    use_qalora: 'QALoRA',
    use_bdlora: 'BD-LoRA',
    rank_pattern: 'a rank of their own for some modules',
    alpha_pattern: 'an alpha of their own for some modules',
    lora_bias: 'biases of the factors',
    target_parameters: 'LoRA on single parameters',
    trainable_token_indices: 'trained rows of the embedding',
    layer_replication: 'layers that stand there several times',
    loftq_config: 'LoftQ',
    corda_config: 'CorDA',
  }),
);

/** Ways to start that leave the base model's weights as they are. */
const starts: ReadonlySet<unknown> = new Set([undefined, null, true, false, 'gaussian', 'orthogonal', 'eva']);

const settingsSchema = z.looseObject({
  peft_type: z.string(),
  r: z.int(),
  lora_alpha: z.int(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  bias: z.string().default('none'),
  init_lora_weights: z.unknown().optional(),
  modules_to_save: listOf(z.string()).nullish(),
});

/**
 * Opens what PEFT's save_pretrained has written.
 * @throws OffsiteError BadModel naming the setting of adapter_config.json that is not supported, or the file that is not there
 */
export function openPeft(
  directory: string,
  architecture: Architecture,
  layers: readonly number[],
): PeftAdapter {
  const weights = join(directory, peftFiles.weights);
  if (!isThere(weights))
    throw badModel(
      isThere(join(directory, 'adapter_model.bin'))
        ? `${directory}: holds adapter_model.bin, whose reading may run code; save it again with PEFT's save_pretrained, which writes ${peftFiles.weights}`
        : `${directory}: holds no ${peftFiles.weights}, which PEFT's save_pretrained writes`,
    );
  const { head, ...settings } = readSettings(join(directory, peftFiles.config));
  const files = new CheckedFiles();
  const digest = files.digest(weights);
  const checkpoint = openCheckpoint(weights, files);
  const modules = new Set(
    [...checkpoint.tensors.keys()].flatMap((name) => /\.([^.]+)\.lora_[AB]\.weight$/.exec(name)?.[1] ?? []),
  );
  const targetModules = linearModules(architecture, layers).filter((name) => modules.has(name));
  const parsed = adapterSchema.safeParse({
    ...settings,
    type: 'lora',
    targetModules,
    ...(head ? { head } : {}),
  });
  if (parsed.success)
    return { type: parsed.data, checkpoint, digest, checkUnchanged: () => files.checkUnchanged() };
  checkpoint.close();
  const [issue] = parsed.error.issues;
  throw badModel(
    targetModules.length === 0
      ? `${weights}: holds no factors (lora_A, lora_B) of a linear map that a ${architecture.family} layer has`
      : `${join(directory, peftFiles.config)}: ${issue?.path.join('.')}: ${issue?.message}`,
  );
}

function readSettings(file: string): { rank: number; alpha: number; dropout?: string; head: boolean } {
  const parsed = settingsSchema.safeParse(readJsonFile(file).value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw badModel(`${file}: ${issue?.path.join('.') || 'it'}: ${issue?.message}`);
  }
  const { peft_type, r, lora_alpha, lora_dropout, bias, init_lora_weights, modules_to_save, ...others } =
    parsed.data;
  if (peft_type !== 'LORA') throw badModel(`${file}: peft_type: ${peft_type} is not supported; LORA is`);
  for (const [name, value] of Object.entries(others))
    if (!neutral.has(name) && !isUnset(value))
      throw badModel(
        `${file}: ${name}: ${methods.get(name) ?? 'a setting other than its default'} is not supported; train without it`,
      );
  if (bias !== 'none')
    throw badModel(
      `${file}: bias: biases that are trained beside the factors are not supported; it must be none`,
    );
  if (!starts.has(init_lora_weights))
    throw badModel(
      `${file}: init_lora_weights: a start that changes the base model's weights is not supported; true, false, gaussian, orthogonal and eva are`,
    );
  const foreign = modules_to_save?.find((name) => name !== 'lm_head');
  if (foreign !== undefined)
    throw badModel(
      `${file}: modules_to_save: ${foreign} may not be trained in full beside the factors; only lm_head may`,
    );
  return {
    rank: r,
    alpha: lora_alpha,
    ...(lora_dropout > 0 ? { dropout: String(lora_dropout) } : {}),
    head: (modules_to_save ?? []).length > 0,
  };
}

/** As PEFT writes a setting that is not used. */
const isUnset = (value: unknown) =>
  value === null ||
  value === false ||
  (typeof value === 'object' && Object.keys(value as object).length === 0);
