import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ReportRecord } from './record.ts';

/** Renders a record and writes the page, whole or not at all. */
export async function writeReport(record: ReportRecord, file: string): Promise<void> {
  // The plotting library takes most of a second to load, which no run should wait for at its start.
  const { renderReport } = await import('./page.ts');
  const page = await renderReport(record);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, page);
  renameSync(`${file}.tmp`, file);
}
