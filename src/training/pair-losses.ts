// The losses of preference pairs: a chosen and a rejected answer to one prompt, and the slopes by their log-likelihoods.
import type { PairLikelihood } from '../evaluation/index.ts';

/** An answer as a model says it. */
export interface Answer {
  /** Summed over its tokens, in nats. */
  readonly logLikelihood: number;
  readonly tokens: number;
}

export interface Pair {
  readonly chosen: Answer;
  readonly rejected: Answer;
}

export interface PairSlopes {
  readonly loss: number;
  /** d(loss)/d(log-likelihood) of each answer. */
  readonly chosen: number;
  readonly rejected: number;
}

/** The loss of one pair. @param reference what the model said of the same pair before it was trained; asked by `dpo` alone */
export type PairLoss = (pair: Pair, reference: PairLikelihood) => PairSlopes;

export interface DpoOptions {
  readonly beta: number;
  readonly loss: 'sigmoid' | 'hinge' | 'ipo';
  /** The share of pairs that are the wrong way round; of `sigmoid` only. */
  readonly labelSmoothing: number;
}

/**
 * DPO (arXiv 2305.18290): -log sigmoid(z), z = beta ((log p_w - log ref_w) - (log p_l - log ref_l)), and with smoothed labels
 * (1 - e) (-log sigmoid(z)) + e (-log sigmoid(-z)); max(0, 1 - z) as a hinge (SLiC, arXiv 2305.10425); and IPO (arXiv 2310.12036):
 * (d - 1 / (2 beta))^2, where d is the difference z / beta with each answer's part by its token, as TRL has it.
 */
export function dpo({ beta, loss, labelSmoothing }: DpoOptions): PairLoss {
  return (own, reference) => {
    const chosen = own.chosen.logLikelihood - reference.chosen;
    const rejected = own.rejected.logLikelihood - reference.rejected;
    const z = beta * (chosen - rejected);
    switch (loss) {
      case 'sigmoid': {
        const value = (1 - labelSmoothing) * softplus(-z) + labelSmoothing * softplus(z);
        const slope = beta * (labelSmoothing * sigmoid(z) - (1 - labelSmoothing) * sigmoid(-z));
        return { loss: value, chosen: slope, rejected: -slope };
      }
      case 'hinge': {
        const slope = z < 1 ? -beta : 0;
        return { loss: Math.max(0, 1 - z), chosen: slope, rejected: -slope };
      }
      case 'ipo': {
        const beyond = chosen / own.chosen.tokens - rejected / own.rejected.tokens - 1 / (2 * beta);
        return {
          loss: beyond * beyond,
          chosen: (2 * beyond) / own.chosen.tokens,
          rejected: (-2 * beyond) / own.rejected.tokens,
        };
      }
    }
  };
}

/**
 * ORPO (arXiv 2403.07691): -m_w + lambda (-log sigmoid(log odds_w - log odds_l)), where m is the mean log-likelihood of an
 * answer's token and log odds = m - log(1 - e^m).
 */
export function orpo({ lambda }: { readonly lambda: number }): PairLoss {
  return ({ chosen, rejected }) => {
    const [w, l] = [meanOf(chosen), meanOf(rejected)];
    const [oddsW, oddsL] = [logOdds(w), logOdds(l)];
    const difference = oddsW.value - oddsL.value;
    const slope = -lambda * sigmoid(-difference);
    return {
      loss: -w + lambda * softplus(-difference),
      chosen: (slope * oddsW.slope - 1) / chosen.tokens,
      rejected: (-slope * oddsL.slope) / rejected.tokens,
    };
  };
}

/** SimPO (arXiv 2405.14734): -log sigmoid(beta (m_w - m_l) - gamma), where m is the mean log-likelihood of an answer's token. */
export function simpo({ beta, gamma }: { readonly beta: number; readonly gamma: number }): PairLoss {
  return ({ chosen, rejected }) => {
    const z = beta * (meanOf(chosen) - meanOf(rejected)) - gamma;
    const slope = -beta * sigmoid(-z);
    return { loss: softplus(-z), chosen: slope / chosen.tokens, rejected: -slope / rejected.tokens };
  };
}

const meanOf = ({ logLikelihood, tokens }: Answer) => logLikelihood / tokens;

/** What float32 cannot tell from certain: the odds of an answer that is certain have no bound. */
const leastDoubt = 2 ** -24;

/** log(e^m / (1 - e^m)) and its slope by m, as of m = -2^-24 where m is nearer to 0. */
function logOdds(mean: number): { value: number; slope: number } {
  const m = Math.min(mean, -leastDoubt);
  const doubt = -Math.expm1(m);
  return { value: m - Math.log(doubt), slope: 1 / doubt };
}

/** log(1 + e^x). */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** 1 / (1 + e^-x); for large |x| neither 0 / 0 nor infinity. */
const sigmoid = (x: number): number => {
  const small = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : small) / (1 + small);
};
