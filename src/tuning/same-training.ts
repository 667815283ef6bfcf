// By what a private training is known again where its spec is written otherwise: what it does with its rows, and under which noise.
import { Adapter, Objective, Training, usesOfRows } from '../api/index.ts';
import { type Described, identityOf } from '../artifact/index.ts';
import type { DataOrder } from '../data/index.ts';
import { settingsOf } from './objective.ts';
import { formOf } from './start.ts';

/** What no manifest tells of this training. */
interface Trained {
  /** The digest of its rows' tokens, in whatever order (`rowsDigest`). */
  readonly rows: string;
  readonly order: Pick<DataOrder, 'stepsPerEpoch'>;
  /** All linear maps of the layers that are trained. */
  readonly modules: readonly string[];
}

/**
 * A digest of what the training that a manifest tells of does with its rows: without what changes nothing of that
 * (`usesOfRows`), with defaults written out and epochs counted in steps.
 * @param said by this training's manifest, or by one that anybody may have written
 */
export function sameTraining({ madeFrom, hyperparameters }: Described, trained: Trained): string {
  const { adapter, training, objective } = hyperparameters;
  const all = {
    ...hyperparameters,
    adapter: adapterIn(adapter, trained),
    training: trainingIn(training, trained),
    objective: objectiveIn(objective),
  };
  return identityOf({
    madeFrom: { ...madeFrom, data: trained.rows },
    hyperparameters: { uses: usesOfRows(all) },
  });
}

/** What is no adapter, training or objective stays as it stands: it is none of ours. */
function adapterIn(value: unknown, { modules }: Trained): unknown {
  const { data } = Adapter.safeParse(value);
  return data === undefined ? value : { ...formOf(data, modules), dropout: data.dropout ?? '0' };
}

function trainingIn(value: unknown, { order }: Trained): unknown {
  const { data } = Training.safeParse(value);
  if (data === undefined) return value;
  const { epochs, steps, ...settings } = data;
  return { ...settings, steps: steps ?? Number(epochs) * order.stepsPerEpoch(settings.batchSize) };
}

function objectiveIn(value: unknown): unknown {
  const { data, success } = Objective.optional().safeParse(value);
  return success ? settingsOf({ objective: data }) : value;
}
