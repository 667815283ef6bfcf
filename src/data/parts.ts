// Splitting a row with many branches over several sequences, to keep attention affordable.
import { type Example, tokenCount } from './example.ts';

/** What of a row shares a sequence: its trunk and some of its branches. */
export interface Part extends Example {
  /** Which of the row's branches these are. */
  readonly places: readonly number[];
}

/** Tokens of a sequence that a row may always fill. */
const usualLength = 2048;

/**
 * Lays a row's branches, those of a class in their order, into as few sequences as hold them with the trunk before them in each:
 * attention takes the square of a sequence. One of up to `maxLength` tokens, or 2048, stays whole, and so does what has no two branches.
 * @param lengthClass of a prompt with one branch: what shares a trunk is of one class; all are when absent
 * @param usual in the place of 2048
 */
export function partsOf(
  example: Example,
  maxLength: number,
  lengthClass: (length: number) => string = () => '',
  usual = usualLength,
): Part[] {
  const { trunk, branches, starts } = example;
  const most = Math.max(maxLength, usual);
  const all = [...branches.keys()];
  const classes = [
    ...Map.groupBy(all, (place) => lengthClass(trunk.length + branches[place]!.length)).values(),
  ];
  if (branches.length < 2 || (classes.length === 1 && tokenCount(example) <= most))
    return [{ ...example, places: all }];
  const shared = classes.flatMap((places) => sequencesOf(places, example, most));
  return shared.map((places) => ({
    ...example,
    branches: places.map((place) => branches[place]!),
    ...(starts && { starts: places.map((place) => starts[place]!) }),
    places,
  }));
}

/** Some of a row's branches, by sequence: each takes as many as it may have tokens, and one at least. */
function sequencesOf(places: readonly number[], { trunk, branches }: Example, most: number): number[][] {
  const sequences: number[][] = [];
  let room = 0;
  for (const place of places) {
    const { length } = branches[place]!;
    if (sequences.length === 0 || length > room) {
      sequences.push([]);
      room = most - trunk.length;
    }
    sequences.at(-1)!.push(place);
    room -= length;
  }
  return sequences;
}
