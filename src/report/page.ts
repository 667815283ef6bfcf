// The page as a whole: head, header, navigation, sections and footer.
import { escaped, type Html, html } from './html.ts';
import { anchorOf, entriesOf, type ReportRecord } from './record.ts';
import { emulatorSection } from './sections/emulator.ts';
import { headline, outcomeWord } from './sections/headline.ts';
import { plugInSection } from './sections/plug-in.ts';
import { recordSection } from './sections/record.ts';
import { tuningSection } from './sections/tuning.ts';
import { style } from './style.ts';

const doctype = '<!DOCTYPE html>';
const title = '<title>Offsite-tuning: ';

/** Whether a file's bytes are a page of ours, of whatever version. */
export function isReport(page: Uint8Array): boolean {
  const head = new TextDecoder().decode(page.subarray(0, 1024));
  return head.startsWith(doctype) && head.includes(title);
}

/**
 * The report as one HTML page: no script, nothing loaded from anywhere. Equal records give equal pages.
 */
export async function renderReport(record: ReportRecord): Promise<string> {
  const sections: Html[] = [];
  for (const entry of record.plugIns) sections.push(await plugInSection(entry));
  for (const entry of record.builds) sections.push(await emulatorSection(entry));
  for (const entry of record.tunes) sections.push(await tuningSection(entry));
  const body = html`<header>${headline(record)}${navigation(record)}</header>
<main>${sections}
${recordSection(record)}</main>
<footer><p>${privacy(record)}</p></footer>`;
  return `${doctype}
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
${title}${escaped(`${record.place}, ${outcomeWord(record)}`)}</title>
<style>${style}</style>
</head>
<body>
${body.text}
</body>
</html>
`;
}

function navigation(record: ReportRecord): Html {
  const { plugIns, builds, tunes } = record;
  const links = [...plugIns, ...builds, ...tunes].map((entry) => ({
    anchor: anchorOf(entry),
    text: `${entry.resource.kind} ${entry.resource.metadata.name}`,
  }));
  return html`<nav aria-label="Sections"><ul>${[...links, { anchor: 'record', text: 'For the record' }].map(
    ({ anchor, text }) => html`<li><a href="#${anchor}">${text}</a></li>`,
  )}</ul></nav>`;
}

/** Whom the page may be shown. */
function privacy(record: ReportRecord): string {
  const both = record.tunes.length > 0 && record.builds.length + record.plugIns.length > 0;
  const own =
    record.tunes.length > 0
      ? " It shows losses and scores that were computed from the data owner's rows."
      : '';
  return `This page holds no rows of data and no weights.${own}${
    both
      ? ' It tells of both parties, as a run on one machine does: look at it before it goes to either.'
      : ''
  }${entriesOf(record).length === 0 ? ' No resource was found.' : ''}`;
}
