// What spec.objective asks for: which answers train, by which loss, against which reference.
import type { OffsiteTuneSpec } from '../api/index.ts';
import { dpo, orpo, type PairLoss, simpo } from '../training/index.ts';

/** The aim of a tuning. */
export interface Aim {
  /** The loss of preference pairs; undefined where the likelihood of right answers rises. */
  readonly pairs?: PairLoss;
  /** Whether that loss, and what is measured, is against the emulator before it was tuned. */
  readonly hasReference: boolean;
  /** How strongly the change is drawn to zero. */
  readonly l1: number;
}

/** The settings that are absent have the defaults of their papers' code. */
export function aimOf({ objective }: Pick<OffsiteTuneSpec, 'objective'>): Aim {
  const {
    type = 'sft',
    beta,
    loss = 'sigmoid',
    labelSmoothing = '0',
    lambda,
    gamma,
    l1 = '0',
  } = objective ?? {};
  const pairsOnly = { hasReference: false, l1: 0 };
  switch (type) {
    case 'sft':
      return { hasReference: false, l1: Number(l1) };
    case 'dpo': {
      const options = { beta: Number(beta ?? '0.1'), loss, labelSmoothing: Number(labelSmoothing) };
      return { ...pairsOnly, pairs: dpo(options), hasReference: true };
    }
    case 'orpo':
      return { ...pairsOnly, pairs: orpo({ lambda: Number(lambda ?? '0.1') }) };
    case 'simpo': {
      const strength = Number(beta ?? '2');
      return { ...pairsOnly, pairs: simpo({ beta: strength, gamma: Number(gamma ?? strength / 2) }) };
    }
  }
}

/** What an adapter's manifest says of its objective: nothing where it is none but the usual one, as ever. */
export const objectiveOf = (spec: Pick<OffsiteTuneSpec, 'objective'>): Pick<OffsiteTuneSpec, 'objective'> => {
  const { pairs, l1 } = aimOf(spec);
  return pairs === undefined && l1 === 0 ? {} : { objective: spec.objective };
};
