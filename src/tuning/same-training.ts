// By what a private training is known again where its spec is written otherwise: what it does with its rows, and under which noise.
import { Adapter, type OffsiteTuneSpec, usesOfRows } from '../api/index.ts';
import { type Described, identityOf } from '../artifact/index.ts';
import type { DataOrder } from '../data/index.ts';
import { settingsOf } from './objective.ts';
import { formOf } from './start.ts';

/**
 * A digest of what the training that a manifest tells of does with its rows: without what changes nothing of that
 * (`usesOfRows`), with defaults written out and epochs counted in steps.
 * @param said by this training's manifest, or by one that anybody may have written
 * @param rows those of this training, which no manifest tells
 */
export function sameTraining(
  { madeFrom, hyperparameters }: Described,
  rows: { digest: string; order: Pick<DataOrder, 'stepsPerEpoch'> },
): string {
  const { adapter, training, objective, ...others } = hyperparameters as Partial<OffsiteTuneSpec>;
  const { epochs, steps, ...settings } = { ...training };
  const { data: form } = Adapter.safeParse(adapter);
  const all = {
    ...others,
    adapter: form === undefined ? adapter : { ...formOf(form), dropout: form.dropout ?? '0' },
    training: {
      ...settings,
      steps: steps ?? Number(epochs) * rows.order.stepsPerEpoch(Number(settings.batchSize)),
    },
    objective: settingsOf({ objective }),
  };
  return identityOf({
    madeFrom: { ...madeFrom, data: rows.digest },
    hyperparameters: { uses: usesOfRows(all) },
  });
}
