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

/** All settings; those that are absent have the defaults of their papers' code. */
export function settingsOf({ objective }: Pick<OffsiteTuneSpec, 'objective'>) {
  const { type = 'sft', loss = 'sigmoid', labelSmoothing = '0', lambda = '0.1', l1 = '0' } = objective ?? {};
  const beta = objective?.beta ?? (type === 'dpo' ? '0.1' : '2');
  const gamma = objective?.gamma ?? String(Number(beta) / 2);
  return { type, beta, loss, labelSmoothing, lambda, gamma, l1 };
}

/** What the settings come to. */
export function aimOf(spec: Pick<OffsiteTuneSpec, 'objective'>): Aim {
  const { type, beta, loss, labelSmoothing, lambda, gamma, l1 } = settingsOf(spec);
  const pairsOnly = { hasReference: false, l1: 0 };
  switch (type) {
    case 'sft':
      return { hasReference: false, l1: Number(l1) };
    case 'dpo': {
      const options = { beta: Number(beta), loss, labelSmoothing: Number(labelSmoothing) };
      return { ...pairsOnly, pairs: dpo(options), hasReference: true };
    }
    case 'orpo':
      return { ...pairsOnly, pairs: orpo({ lambda: Number(lambda) }) };
    case 'simpo':
      return { ...pairsOnly, pairs: simpo({ beta: Number(beta), gamma: Number(gamma) }) };
  }
}

/** What an adapter's manifest says of its objective: nothing where it is none but the usual one, as ever. */
export const objectiveOf = (spec: Pick<OffsiteTuneSpec, 'objective'>): Pick<OffsiteTuneSpec, 'objective'> => {
  const { pairs, l1 } = aimOf(spec);
  return pairs === undefined && l1 === 0 ? {} : { objective: spec.objective };
};
