/** The policies by name. Each says what is to be done in its situation, or nothing where that is not there. */
import type { Ruling } from './ruling.ts';

/** In the order in which they are asked; the first that has something to say decides. */
export const policies = [
  'complete',
  'wrongSpec',
  'failed',
  'workMoved',
  'notBegun',
  'suspended',
  'restarted',
  'leftovers',
  'dependencies',
  'notAllowed',
  'otherWriters',
  'sharedClaims',
  'jobTooLarge',
  'jobRefused',
  'stageBegun',
  'stageActive',
  'stageFailed',
  'resultTaken',
  'resultAwaited',
  'resultLost',
] as const;

export type PolicyName = (typeof policies)[number];

/** A ruling, and whose it is. */
export type NamedRuling = Ruling & { readonly by: PolicyName };

type Policies<C> = Readonly<Partial<Record<PolicyName, (context: C) => Ruling | undefined>>>;

/** What the first of these policies says that says anything. */
export function firstOf<C>(asked: Policies<C>, context: C): NamedRuling | undefined {
  for (const [by, policy] of Object.entries(asked) as [PolicyName, Policies<C>[PolicyName]][]) {
    const ruling = policy?.(context);
    if (ruling !== undefined) return { ...ruling, by };
  }
  return undefined;
}
