// The study's second task: whether a mail is spam, from SpamAssassin's public corpus.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Mail, readMail } from './mails.ts';
import { type Divided, divide } from './split.ts';
import { type Question, type Sizes, type Splits, sizes } from './task.ts';

/** Chosen on the validation rows, see docs/study-data.md. */
export const spamQuestion = (
  { subject, body }: Pick<Mail, 'subject' | 'body'>,
  isSpam: boolean,
): Question => ({
  context: `Subject: ${subject}\n${body}\n`,
  question: 'Was this e-mail written by a company to advertise something, or by a person?',
  choices: ['company', 'person'],
  answer: isSpam ? 0 : 1,
});

/** @param directory the package's `data`: a folder a group of mails, a JSON file a mail */
export function spamSplits(directory: string, wanted: Sizes = sizes): Splits {
  const rows: Divided<Question>[] = [];
  for (const group of readdirSync(directory, { withFileTypes: true })) {
    if (!group.isDirectory()) continue;
    const isSpam = group.name.startsWith('spam');
    for (const file of readdirSync(join(directory, group.name))) {
      if (!file.endsWith('.json')) continue;
      const { text } = JSON.parse(readFileSync(join(directory, group.name, file), 'utf8')) as {
        text: string;
      };
      const mail = readMail(text);
      if (mail.body.length < 40) continue;
      rows.push({
        group: mail.thread === '' ? mail.body : mail.thread,
        kind: isSpam ? 'spam' : 'ham',
        row: spamQuestion(mail, isSpam),
      });
    }
  }
  return divide(rows, wanted) as unknown as Splits;
}
