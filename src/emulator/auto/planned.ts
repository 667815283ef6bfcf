// Candidates with what they run: plan, shapes, and what their bundles would take.
import type { Way } from '../../api/index.ts';
import type { Engine } from '../../engine/index.ts';
import type { Model } from '../../model/index.ts';
import { compressionOf } from '../compression/index.ts';
import { copiesOf } from '../leak/copies.ts';
import type { Observations } from '../observe/observations.ts';
import { type Layout, layoutOf } from '../plan/layout.ts';
import type { Evidence, Plan } from '../plan/plan.ts';
import type { Sharing } from '../plan/share.ts';
import { makePlan, planOptions } from '../strategies/make-plan.ts';
import { type CandidateOptions, candidateWays } from './candidates.ts';
import type { Counted } from './choose.ts';
import { weigh } from './weigh.ts';

/** A candidate with what it runs. */
export interface Planned extends Counted {
  readonly plan: Plan;
  readonly layout: Layout;
}

export interface PlanningOptions extends Omit<CandidateOptions, 'depth'> {
  readonly sharing: Sharing;
}

/**
 * Every candidate that can be planned.
 * @throws OffsiteError BadSpec where the transfer layers of the spec are not the model's
 */
export async function plannedWays(
  engine: Engine,
  model: Model,
  { evidence, found }: { evidence: Evidence; found: Observations },
  { sharing, ...options }: PlanningOptions,
): Promise<Planned[]> {
  const planned: Planned[] = [];
  const copies = copiesOf(model);
  for (const way of candidateWays({ ...options, depth: model.architecture.depth })) {
    if (!canTrain(way, evidence, sharing)) continue;
    const plan = makePlan(evidence, planOptions(way, sharing));
    const layers = plan.kept.filter((layer) => !plan.transferLayers.includes(layer));
    const compression = way.compression && compressionOf(way.compression);
    const shapes = await compression?.plan(layers, { engine, model, plan, found });
    const layout = layoutOf(plan, shapes);
    planned.push({ way, plan, layout, ...weigh(model, layout, copies) });
  }
  return planned;
}

/** Whether those that the spec lets train are among fewer layers. */
function canTrain(way: Way, evidence: Evidence, sharing: Sharing): boolean {
  if (way.layers === undefined) return true;
  const { kept } = makePlan(evidence, planOptions({ ...way, transferLayers: { count: 0 } }, sharing));
  const { count = 0, layers = [] } = way.transferLayers;
  return count <= kept.length && layers.every((layer) => kept.includes(layer));
}
