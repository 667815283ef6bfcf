/** What becomes of a PlugIn when all is measured: its gates, what of the change the saved type keeps, and the files. */
import { badSpec, gateFailed, type PlugIn, type PlugInStatus, printable } from '../api/index.ts';
import { peekManifest, type Written, type WrittenFiles } from '../artifact/index.ts';
import { type Bundle, trainedLayers } from '../emulator/index.ts';
import type { TaskData } from '../evaluation/index.ts';
import type { Half } from '../graph/index.ts';
import type { Model } from '../model/index.ts';
import type { Emit } from '../progress/index.ts';
import { adapterFile, type PluggableAdapter } from './adapter.ts';
import type { Sides } from './cells.ts';
import { checkGates, type GateName, type GateResult } from './gates.ts';
import { type MeasuredTask, valuesOf } from './measured.ts';
import { savePluggedIn } from './merge.ts';
import { roundedAway, roundingOf } from './rounding.ts';

/** @throws OffsiteError BadSpec where the plugged-in model is to be saved and is none that others could load */
export function checkSave(
  { output }: PlugIn['spec'],
  {
    parties,
    bundle: { plan },
  }: { parties: readonly { adapter: PluggableAdapter }[]; bundle: Pick<Bundle, 'plan'> },
): void {
  const { adapter } = parties[0]!;
  const inserts = trainedLayers(plan).some((layer) => Object.keys(adapter.inserted(layer)).length > 0);
  if (inserts && output.save === 'model')
    throw badSpec(
      `spec.output.save: must be adapter or none: a ${adapter.type.type} adapter inserts modules, which no architecture that transformers loads has`,
    );
}

/**
 * What is measured must be what is released: an engine of half precision rounds matrices that are released in more.
 * @throws OffsiteError BadSpec
 */
export function checkPrecision(
  { output }: PlugIn['spec'],
  { tensors }: Pick<Model, 'tensors'>,
  precision: Half | undefined,
): void {
  if (precision === undefined) return;
  const stored = { float16: 'F16', bfloat16: 'BF16' }[precision];
  const other = [...tensors.values()].find(({ shape, dtype }) => shape.length === 2 && dtype !== stored);
  const what =
    output.save === 'adapter'
      ? 'an adapter is released in float32'
      : other && `the model's tensor ${printable(other.name)} is ${other.dtype}`;
  if (what !== undefined)
    throw badSpec(
      `spec.engine.precision: ${what}, and ${precision} would measure it rounded: another model than the one that is released; take float32`,
    );
}

/** On the figures as they were measured, also where an earlier run has measured them. */
export function gatesOf(spec: PlugIn['spec'], evaluation: readonly MeasuredTask[]): GateResult[] {
  const tolerances = Object.fromEntries(
    Object.entries(spec.gates ?? {}).map(([name, gate]) => [name, Number(gate?.tolerance ?? 0)]),
  );
  return evaluation.flatMap((task) =>
    checkGates(task.task, task.metric as TaskData['metric'], valuesOf(task), tolerances),
  );
}

/**
 * Only gates that the spec names stop the release.
 * @param output where an earlier spec may have released something, which stays
 * @throws OffsiteError GateFailed
 */
export function stopAtFailedGate(spec: PlugIn['spec'], gates: readonly GateResult[], output: string): void {
  const asked = new Set(
    Object.entries(spec.gates ?? {}).flatMap(([name, gate]) =>
      gate === undefined ? [] : [name as GateName],
    ),
  );
  const failed = gates.filter(({ name, passed }) => !passed && asked.has(name.split('/')[1] as GateName));
  if (failed.length === 0) return;
  const earlier = peekManifest(output);
  const left =
    earlier === undefined
      ? ''
      : `, but ${earlier.digest} still lies at spec.output.uri from before: take it away where it is not to be used`;
  throw gateFailed(
    `${failed.map(({ name, message }) => `gate ${name}: ${message}`).join('; ')}; nothing was released${left}`,
  );
}

/** A warning where transformers makes another tokenizer of the released model than the one that was measured. */
function warnOfTokenizer(model: Model, emit: Emit): void {
  const { remade } = model.tokenizer.released;
  if (remade === undefined) return;
  const message = `transformers 5 makes parts of this model's tokenizer anew by ${remade}, whatever its files say, and tokenizer.json has others: texts can have other tokens there than in what was measured`;
  emit({ type: 'warning', reason: 'OtherTokenizer', message });
}

/** How much of the change the saved model's type keeps; a warning where that is the lesser part. */
export function mergeOf(
  { spec, emit }: { spec: PlugIn['spec']; emit: Emit },
  { model, adapter }: { model: Model; adapter: PluggableAdapter },
): Pick<PlugInStatus, 'merge'> {
  if (spec.output.save !== 'model') return {};
  warnOfTokenizer(model, emit);
  const rounding = roundingOf(model, adapter, Number(spec.coefficient));
  if (rounding === undefined) return {};
  const message = roundedAway(rounding);
  if (message !== undefined) emit({ type: 'warning', reason: 'RoundedAway', message });
  const { dtype, changed, kept } = rounding;
  return { merge: { dtype, changedWeights: changed, keptShare: kept.toFixed(4) } };
}

/**
 * Writes what spec.output.save asks for: the plugged-in model, or the adapter as it came, or as it came of several.
 * @param copy copies the file of its tensors to where nothing is
 */
export function writeRelease(
  files: WrittenFiles,
  { spec, copy }: { spec: PlugIn['spec']; copy: (to: string) => Written },
  { model, adapter, plugged }: Sides,
): void {
  if (spec.output.save === 'model') savePluggedIn(files, model, plugged);
  else {
    files.add(adapterFile, copy);
    for (const [name, text] of Object.entries(adapter.files)) files.write(name, text);
  }
}
