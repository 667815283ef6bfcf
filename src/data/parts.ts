// Splitting a row with many branches over several sequences, to keep attention affordable.
import { type Example, tokenCount } from './example.ts';

/** What of a row shares a sequence: its trunk and some of its branches. */
export interface Part extends Example {
  /** How many of the row's branches stand before these. */
  readonly first: number;
}

/** Tokens of a sequence that a row may always fill. */
const usualLength = 2048;

/**
 * Lays a row's branches, in their order, into as few sequences as hold them with the trunk before them in each: attention takes
 * the square of a sequence. One of up to `maxLength` tokens, or 2048, stays whole, and so does what has no two branches.
 * @param lengthClass of a prompt with one branch: what shares a trunk is of one class; all are when absent
 */
export function partsOf(
  example: Example,
  maxLength: number,
  lengthClass: (length: number) => string = () => '',
): Part[] {
  const { trunk, branches, starts } = example;
  const most = Math.max(maxLength, usualLength);
  const classes = branches.map(({ length }) => lengthClass(trunk.length + length));
  const isOneClass = classes.every((one) => one === classes[0]);
  if (branches.length < 2 || (isOneClass && tokenCount(example) <= most)) return [{ ...example, first: 0 }];
  const parts: Part[] = [];
  for (let [first, end] = [0, 1]; first < branches.length; first = end) {
    let count = trunk.length + branches[first]!.length;
    for (end = first + 1; end < branches.length && classes[end] === classes[first]; end++) {
      count += branches[end]!.length;
      if (count > most) break;
    }
    const rest = starts && { starts: starts.slice(first, end) };
    parts.push({ ...example, branches: branches.slice(first, end), ...rest, first });
  }
  return parts;
}
