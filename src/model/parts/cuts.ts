// How families say where heads and channels lie in a linear map.
import type { Cut, Run } from '../widths.ts';

/** A map whose outputs belong to units: it and its bias lose rows. */
export const gives = (...runs: Run[]): Cut => ({ side: 'to', runs });

/** A map whose inputs do: it loses columns. */
export const takes = (...runs: Run[]): Cut => ({ side: 'from', runs });

/** The runs of query heads and of key/value heads of a size. */
export const headRuns = (size: number): { head: Run; group: Run } => ({
  head: { of: 'heads', size },
  group: { of: 'groups', size },
});

/** A number for each channel of the MLP. */
export const channel: Run = { of: 'inner', size: 1 };
