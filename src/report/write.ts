// The last step of a report: its page is rendered and put on disk, over no file but an earlier report.
import { lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { badSpec } from '../api/index.ts';
import { boundedBytes, writeWholeAmongOthers } from '../artifact/index.ts';
import type { ReportRecord } from './record.ts';

/**
 * Renders a record and writes the page, whole or not at all.
 * @throws OffsiteError BadSpec where something else than a report lies there, which stays
 */
export async function writeReport(record: ReportRecord, file: string): Promise<void> {
  // The plotting library takes most of a second to load, which no run should wait for at its start.
  const { isReport, renderReport } = await import('./page.ts');
  const page = await renderReport(record);
  mkdirSync(dirname(file), { recursive: true });
  if (!mayWrite(file, isReport))
    throw badSpec(
      `${file}: is there and is no report of ours: move that away, or name another file with --output`,
    );
  writeWholeAmongOthers(file, page);
}

/** No report comes to more. */
const mostBytes = 256 << 20;

function mayWrite(file: string, isReport: (page: Uint8Array) => boolean): boolean {
  if (lstatSync(file, { throwIfNoEntry: false }) === undefined) return true;
  const there = boundedBytes(file, mostBytes);
  return typeof there !== 'string' && (there.length === 0 || isReport(there));
}
