// SentencePiece's tokens of one score: of such pairs it joins the leftmost in a text, a list of merges the first in the list.
import { badModel, printableJson } from '../api/index.ts';

/** A token's text, and the score by which it is joined. */
export interface Piece {
  readonly text: string;
  readonly score: number;
}

/** The mark of a blank. */
const space = '▁';
/** Of a run of blanks, in characters: LLaMA's longest has 16. */
const longestRun = 32;

/**
 * LLaMA's own file has one score for all runs of blanks, which come out the same either way; that is looked at.
 * @param joined those that are made of two others, the best first
 * @param texts of all tokens
 * @throws OffsiteError BadModel where what is joined first hangs on who joins
 */
export function refuseTies(joined: readonly Piece[], texts: ReadonlySet<string>): void {
  for (const tied of Map.groupBy(joined, ({ score }) => score).values()) {
    const [one, other] = tied;
    if (other === undefined || areRuns(tied, texts)) continue;
    throw badModel(
      `GGUF tokenizer.ggml.scores: ${printableJson(one!.text)} and ${printableJson(other.text)} have one score, which does not say what is joined first`,
    );
  }
}

/** Whether tokens are runs of blanks, the only tokens that hold two blanks in a row, and a run is cut the same either way. */
function areRuns(tied: readonly Piece[], texts: ReadonlySet<string>): boolean {
  const isRun = ({ text }: Piece) => text.length <= longestRun && text === space.repeat(text.length);
  if (!tied.every(isRun)) return false;
  const lengths = tied.map(({ text }) => text.length);
  const longest = Math.max(...lengths);
  const runs = new Set(tied.map(({ text }) => text));
  return (
    [...texts].every((text) => runs.has(text) || !text.includes(space.repeat(2))) &&
    Array.from({ length: 4 * longest }, (_, i) => i + 1).every(
      (run) => String(leftmostFirst(run, new Set(lengths))) === String(listedFirst(run, lengths)),
    )
  );
}

/** The lengths of the tokens of a run where the leftmost pair is joined, and so the first token grows. */
function leftmostFirst(run: number, lengths: ReadonlySet<number>): number[] {
  const parts = new Array<number>(run).fill(1);
  for (let at = 0; at + 1 < parts.length; ) {
    const sum = parts[at]! + parts[at + 1]!;
    if (lengths.has(sum)) parts.splice(at, 2, sum);
    else at++;
  }
  return parts;
}

/** The same where, of all pairs, those are joined first whose token comes first in the list. */
function listedFirst(run: number, lengths: readonly number[]): number[] {
  const parts = new Array<number>(run).fill(1);
  const rankAt = (at: number) => {
    const rank = lengths.indexOf(parts[at]! + parts[at + 1]!);
    return rank === -1 ? Number.POSITIVE_INFINITY : rank;
  };
  while (parts.length > 1) {
    const ranks = parts.slice(1).map((_, at) => rankAt(at));
    const best = Math.min(...ranks);
    if (best === Number.POSITIVE_INFINITY) break;
    parts.splice(ranks.indexOf(best), 2, lengths[best]!);
  }
  return parts;
}
