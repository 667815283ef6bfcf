// The analyses of a plugged-in model: evaluations of many variants of it, resumed after a stop.
import { type Analysis, OffsiteError } from '../../api/index.ts';
import type { Engine } from '../../engine/index.ts';

import { measure, type TaskData } from '../../evaluation/index.ts';
import { Decoder, type Model, type Overlay } from '../../model/index.ts';
import { type Emit, progressOf } from '../../progress/index.ts';
import type { KeptWork } from './kept.ts';
import type { AnalysisRecord, Figures } from './record.ts';
import { depthOf, gridOf, keyOf, type Plugged, type Variant, variantsOf } from './variants.ts';
import { weightsOfVariant } from './weights.ts';

export interface AnalyseOptions {
  readonly analysis: Analysis;
  readonly model: Model;
  /** The adapter on the line at a coefficient. */
  readonly at: (coefficient: number) => Overlay;
  readonly plugged: Omit<Plugged, 'depth'>;
  readonly tasks: readonly TaskData[];
  readonly kept: KeptWork;
  readonly engine: Engine;
  /** Bytes for decoded weights and hidden states. */
  readonly memory: number;
  readonly emit: Emit;
}

/** The stages that progress events name. */
const stages = {
  interpolated: 'plug: interpolation',
  deleted: 'plug: layers deleted',
  rewound: 'plug: layers rewound',
} as const;

/**
 * Evaluates the plugged-in model changed a little: on the line from the full model and beyond (the loss landscape of CRaSh,
 * arXiv 2310.15477, in one dimension), with each layer deleted, and with each transfer layer rewound to the weights that
 * training started from ("Are all layers created equal?", arXiv 1902.01996). What was measured before a stop is not
 * measured again.
 * @throws OffsiteError Cancelled between two blocks
 */
export async function analyse(options: AnalyseOptions): Promise<AnalysisRecord> {
  const { analysis, tasks, kept } = options;
  const plugged: Plugged = { ...options.plugged, depth: options.model.architecture.depth };
  const variants = variantsOf(analysis, plugged);
  for (const kind of ['interpolated', 'deleted', 'rewound'] as const)
    await measureAll(
      variants.filter((variant) => variant.kind === kind),
      plugged,
      options,
    );

  const figures = (variant: Variant) => kept.figures(keyOf(variant)) as Figures[];
  const layers = (kind: 'deleted' | 'rewound') =>
    variants.flatMap((variant) =>
      variant.kind === kind ? [{ layer: variant.layer, figures: figures(variant) }] : [],
    );
  const methods = analysis.layerImportance?.methods ?? [];
  const { coefficient } = plugged;
  const record: AnalysisRecord = {
    tasks: tasks.map(({ name, metric, examples }) => ({ task: name, metric, samples: examples.length })),
    coefficient,
    transferLayers: [...plugged.transferLayers],
    plugIn: figures({ kind: 'interpolated', coefficient }),
    ...(analysis.interpolation && {
      interpolation: gridOf(analysis.interpolation).map((c) => ({
        coefficient: c,
        figures: figures({ kind: 'interpolated', coefficient: c }),
      })),
    }),
    ...(methods.includes('delete') && { deleted: layers('deleted') }),
    ...(methods.includes('rewind') && { rewound: layers('rewound') }),
  };
  await kept.finish(record);
  return record;
}

/** Measures those of one kind that are not kept yet, under one bar. */
async function measureAll(
  variants: readonly Variant[],
  plugged: Plugged,
  options: AnalyseOptions,
): Promise<void> {
  const { tasks, kept, emit } = options;
  const [first] = variants;
  if (first === undefined) return;
  const batches = tasks.reduce((sum, task) => sum + task.batches.length, 0);
  const blocks = (of: readonly Variant[]) =>
    of.reduce((sum, variant) => sum + batches * depthOf(variant, plugged), 0);
  const left = variants.filter((variant) => kept.figures(keyOf(variant)) === undefined);
  const total = blocks(variants);
  const progress = progressOf(stages[first.kind], total, emit, total - blocks(left));
  for (const variant of left)
    await kept.addFigures(keyOf(variant), await figuresOf(variant, options, progress));
}

/** One variant on all tasks; nothing, with a warning, where it gives no numbers: far from both ends weights may explode. */
async function figuresOf(
  variant: Variant,
  { model, at, plugged: { coefficient }, tasks, engine, memory, emit }: AnalyseOptions,
  progress: (blocks: number) => void,
): Promise<Figures[]> {
  try {
    const source = weightsOfVariant(variant, { model, at, coefficient, memory: memory / 2 });
    const decoder = new Decoder(engine, model.architecture, source);
    const figures: Figures[] = [];
    for (const task of tasks) {
      const options = { memory: memory / 2, stage: stages[variant.kind], emit, progress };
      const { cell, loss } = await measure(decoder, task, options);
      figures.push({ value: cell.value.toFixed(4), loss: loss.toFixed(6) });
    }
    return figures;
  } catch (error) {
    if (!(error instanceof OffsiteError) || error.reason !== 'BadModel') throw error;
    emit({
      type: 'warning',
      reason: 'NotAnalysed',
      message: `${keyOf(variant)} is left out of the analysis: ${error.message}`,
    });
    return [];
  }
}
