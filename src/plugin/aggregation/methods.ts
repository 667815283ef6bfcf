// The methods by spec.aggregation, with their defaults.
import type { Aggregation } from '../../api/index.ts';
import { bulyan } from './bulyan.ts';
import type { Changes, Method } from './changes.ts';
import { linear, mean } from './combination.ts';
import { geometricMedian } from './geometric-median.ts';
import { krum, multiKrum } from './krum.ts';
import { lasa } from './lasa.ts';
import { normClip } from './norm-clip.ts';
import { coordinateMedian, trimmedMean } from './order-statistics.ts';
import { dareTies, ties } from './ties.ts';

/** What spec.aggregation asks for; its rules hold that a method has what it needs, and parties enough. */
export function methodOf(aggregation: Aggregation, changes: Changes): Method {
  const { attackers = 0, density = '0.2', scale = '1' } = aggregation;
  const parties = changes.parties.length;
  switch (aggregation.method) {
    case 'mean':
      return mean(changes);
    case 'linear':
      return linear(changes);
    case 'median':
      return coordinateMedian(parties);
    case 'trimmedMean':
      return trimmedMean(parties, aggregation.trim as number);
    case 'geometricMedian':
      return geometricMedian(changes, aggregation.iterations);
    case 'krum':
      return krum(changes, attackers);
    case 'multiKrum':
      return multiKrum(changes, attackers, aggregation.keep);
    case 'bulyan':
      return bulyan(changes, attackers);
    case 'normClip':
      return normClip(changes, optional(aggregation.clipNorm));
    case 'lasa':
      return lasa(changes, {
        sparsity: Number(aggregation.sparsity ?? '0.3'),
        normBound: Number(aggregation.normBound ?? '1'),
        signBound: Number(aggregation.signBound ?? '1'),
        spread: aggregation.spread ?? 'std',
      });
    case 'ties':
      return ties(changes, { density: Number(density), scale: Number(scale) });
    case 'dareTies':
      return dareTies(changes, {
        density: Number(density),
        scale: Number(scale),
        seed: aggregation.seed ?? 42,
      });
  }
}

/** How often a method goes over all changes: for norms and what it measures, thresholds, signs, and for what comes of them. */
export const passesOf = ({ method }: Aggregation): number =>
  method === 'lasa' ? 4 : method === 'ties' ? 3 : 2;

const optional = (text: string | undefined) => (text === undefined ? undefined : Number(text));
