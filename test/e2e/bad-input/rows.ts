import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { setField } from '../../support/tiny/index.ts';
import type { Case } from './case.ts';

/** Stands in every bad row; it must not stand in any message. */
export const secret = 'XYZZY-PRIVATE';

const rowsOf = {
  OffsiteTune: {
    place: 'data/train.jsonl',
    good: { question: `${secret}?`, choices: ['red', secret], answer: 1 },
  },
};
const train = (name: string, rows: (good: string) => string | Uint8Array, message: RegExp): Case => ({
  name,
  kind: 'OffsiteTune',
  change: ({ path }) => {
    const content = rows(JSON.stringify(rowsOf.OffsiteTune.good));
    writeFileSync(path(rowsOf.OffsiteTune.place), content);
  },
  reason: 'BadData',
  message,
});
const row = (fields: object) => JSON.stringify({ ...rowsOf.OffsiteTune.good, ...fields });

/** Rows that are damaged, do not fit, or are others than the spec says. */
export const dataCases: Case[] = [
  train('empty data', () => '', /train\.jsonl: the file is empty; it needs at least one row/),
  train(
    'malformed JSON',
    (good) => `${good}\n{"question": "${secret}`,
    /train\.jsonl: row 2: is not valid JSON/,
  ),
  train('blank line', (good) => `${good}\n\n${good}\n`, /row 2: is a blank line/),
  train(
    'a list in place of a row',
    (good) => `${good}\n["${secret}"]`,
    /row 2: must be a JSON object with "question", "choices" and "answer"/,
  ),
  train(
    'an answer outside the choices',
    (good) => `${good}\n${row({ answer: 2 })}`,
    /row 2: column "answer": .*0 to 1/,
  ),
  train('empty choices', () => row({ choices: [] }), /row 1: column "choices": needs at least 2 choices/),
  train(
    'a choice without words',
    () => row({ choices: [secret, ' '] }),
    /row 1: column "choices", choice 1: is empty/,
  ),
  train(
    'a missing column',
    () => JSON.stringify({ question: secret, choices: [secret, 'a'] }),
    /row 1: column "answer": is missing/,
  ),
  train(
    'a row whose answer is cut',
    (good) => `${good}\n${row({ choices: ['a', `${secret} `.repeat(20)] })}`,
    /row 2: its answer would be cut: with its prompt it has more tokens than maxLength 128/,
  ),
  train(
    'bytes that are no UTF-8',
    (good) => Buffer.concat([Buffer.from(`${good}\n{"question": "`), Buffer.of(0xff), Buffer.from('"}')]),
    /row 2: is not UTF-8/,
  ),
  train(
    'one line of 10 MB',
    () => row({ question: secret.repeat(800_000) }),
    /row 1: its prompt with each of its 1 choices comes to 10400032 characters, and a row may have 4194304 in all/,
  ),
  ...[
    { name: 'rows of one token each', field: 'spec.data', file: 'train' },
    { name: 'validation rows of one token each', field: 'spec.data.validation', file: 'validation' },
  ].map(
    ({ name, field, file }): Case => ({
      name,
      kind: 'OffsiteTune',
      change: ({ manifest, path }) => {
        setField(manifest, 'spec.data.format', 'text');
        for (const each of ['train', 'validation'])
          writeFileSync(path(`data/${each}.jsonl`), '{"text": "red blue green"}\n');
        setField(manifest, `${field}.uri`, `file:${path('data')}/${file}.jsonl`);
        writeFileSync(path(`data/${file}.jsonl`), '{"text": "a"}\n');
      },
      reason: 'BadData',
      message: new RegExp(`${file}\\.jsonl: has no row with a token to predict`),
    }),
  ),
  ...(
    [
      ['training', 'OffsiteTune', 'spec.data.uri', 'train'],
      ['validation', 'OffsiteTune', 'spec.data.validation.uri', 'validation'],
      ['probe', 'EmulatorBuild', 'spec.probe.data.uri', 'probe'],
      ['leak test', 'EmulatorBuild', 'spec.leakTest', 'probe'],
      ['evaluation', 'PlugIn', 'spec.evaluation.tasks', 'test'],
    ] as const
  ).map(
    ([name, kind, field, file]): Case => ({
      name: `${name} rows of which a shard is missing`,
      kind,
      change: ({ manifest, path }) => {
        mkdirSync(path('shards'));
        for (const number of [0, 2])
          cpSync(path(`data/${file}.jsonl`), path(`shards/${file}-0000${number}-of-00003.jsonl`));
        const uri = `file:${path('shards')}`;
        const values: Record<string, unknown> = {
          'spec.leakTest': { data: { uri, format: 'text' }, tokens: [64, 128, 256] },
          'spec.evaluation.tasks': [{ name: 'tiny', data: { uri }, format: 'multipleChoice' }],
        };
        setField(manifest, field, values[field] ?? uri);
      },
      reason: 'BadData',
      message: new RegExp(
        `/shards: holds 2 of the 3 files that their names tell of: 1 missing, the first ${file}-00001-of-00003\\.jsonl; put all of them there`,
      ),
    }),
  ),
  {
    name: 'a data file that is not there',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.uri', 'file:nowhere/train.jsonl'),
    reason: 'BadData',
    message: /nowhere\/train\.jsonl: there is no such file/,
  },
  {
    name: 'an empty directory in place of rows',
    kind: 'OffsiteTune',
    change: ({ manifest, path }) => {
      mkdirSync(path('empty'));
      setField(manifest, 'spec.data.uri', `file:${path('empty')}`);
    },
    reason: 'BadData',
    message: /empty: /,
  },
  {
    name: 'rows that cannot be read',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.uri', 'file:/proc/self/mem'),
    // No fault of the rows: the next try may read them.
    reason: 'StoreUnavailable',
    message:
      /spec\.data\.uri: the disk, or the server behind it, does not answer as it should: EIO: i\/o error, read '\/proc\/self\/mem'/,
  },
  {
    name: 'the digest of the rows',
    kind: 'OffsiteTune',
    change: ({ manifest }) => setField(manifest, 'spec.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.data\.digest: the digest of .*train\.jsonl is sha256:[0-9a-f]{64}, expected sha256:1{64}/,
  },
  {
    name: 'the digest of the probe set',
    kind: 'EmulatorBuild',
    change: ({ manifest }) => setField(manifest, 'spec.probe.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.probe\.data\.digest: the digest of .*probe\.jsonl is/,
  },
  {
    name: 'a probe row of another format',
    kind: 'EmulatorBuild',
    change: ({ path }) => writeFileSync(path('data/probe.jsonl'), row({})),
    reason: 'BadData',
    message: /probe\.jsonl: row 1: column "text": is missing/,
  },
  {
    name: 'a row after the probe whose answer is cut',
    kind: 'EmulatorBuild',
    change: ({ manifest, path }) => {
      setField(manifest, 'spec.probe.data.format', 'multipleChoice');
      setField(manifest, 'spec.probe.samples', 2);
      const long = row({ choices: ['a', `${secret} `.repeat(20)] });
      writeFileSync(path('data/probe.jsonl'), [row({}), row({}), row({}), long].join('\n'));
    },
    reason: 'BadData',
    message: /probe\.jsonl: row 4: its answer would be cut/,
  },
  {
    name: 'the digest of a task',
    kind: 'PlugIn',
    change: ({ manifest }) =>
      setField(manifest, 'spec.evaluation.tasks.0.data.digest', `sha256:${'1'.repeat(64)}`),
    reason: 'BadData',
    message: /spec\.evaluation\.tasks\[0\]\.data\.digest: the digest of .*test\.jsonl is/,
  },
];
