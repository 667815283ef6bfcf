// Membership inference: training rows are told from others by how much tuning lowered their loss.
import { createHash } from 'node:crypto';
import { type Example, Random } from '../../data/index.ts';
import { areaUnderCurve, type Interval, leastOthers, truePositives } from './statistics.ts';

/** Streams of the seed that draw which training rows, and which validation rows, are compared. */
const memberStream = 3_000_000;

export interface Membership {
  members: number;
  nonMembers: number;
  auc: Interval;
  /** Another non-member is taken for a member with a probability of at most 1 %. */
  tpr: Interval;
  doubts?: string;
}

const falsePositives = 0.01;
/** Fewer of them do not tell what one in a hundred is. */
const enough = leastOthers(falsePositives);

/** Up to `limit` rows by chance, each with its right answer alone, in their order. */
export function someRows(
  examples: readonly Example[],
  { limit, seed, set }: { limit: number; seed: number; set: 0 | 1 },
): Example[] {
  const places = Array.from(examples.keys());
  new Random(seed, memberStream + set).shuffle(places);
  return places
    .slice(0, limit)
    .sort((a, b) => a - b)
    .map((place) => withAnswerAlone(examples[place]!));
}

/** The rows that are none of those that were trained on, whatever the number they have: by their tokens up to the right answer's end. */
export function notAmong(examples: readonly Example[], trained: readonly Example[]): Example[] {
  const seen = new Set(trained.map(nameOf));
  return examples.filter((example) => !seen.has(nameOf(example)));
}

function nameOf(example: Example): string {
  const { trunk, branches } = withAnswerAlone(example);
  return createHash('sha256')
    .update([...trunk, ...branches.flat()].join())
    .digest('base64');
}

function withAnswerAlone(example: Example): Example {
  const { answer, branches, starts, bytes } = example;
  if (answer === undefined || branches.length < 2) return example;
  return {
    ...example,
    branches: [branches[answer]!],
    ...(starts && { starts: [starts[answer]!] }),
    answer: 0,
    bytes: [bytes[answer]!],
  };
}

/**
 * @param members how much tuning lowered the loss of an answer's token of each training row
 * @param others of validation rows that were not trained on
 * @param seen how many validation rows were
 */
export function membershipOf(members: readonly number[], others: readonly number[], seen = 0): Membership {
  const doubts = [
    ...(others.length < enough
      ? [
          `fewer than ${enough} validation rows do not show what 1 % of them is: the share of training rows that are recognised has no lower end`,
        ]
      : []),
    ...(seen > 0 ? [`${seen} of the validation rows are training rows too, and were left out`] : []),
  ];
  return {
    members: members.length,
    nonMembers: others.length,
    auc: areaUnderCurve(members, others),
    tpr: truePositives(members, others, falsePositives),
    ...(doubts.length > 0 && { doubts: doubts.join('; ') }),
  };
}
