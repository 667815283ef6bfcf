// The last step of a report: its page is rendered and put on disk.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeWhole } from '../artifact/index.ts';
import type { ReportRecord } from './record.ts';

/** Renders a record and writes the page, whole or not at all. */
export async function writeReport(record: ReportRecord, file: string): Promise<void> {
  // The plotting library takes most of a second to load, which no run should wait for at its start.
  const { renderReport } = await import('./page.ts');
  const page = await renderReport(record);
  mkdirSync(dirname(file), { recursive: true });
  writeWhole(file, page);
}
