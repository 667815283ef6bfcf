// A table's place in a page of docs: what stands between two comments with its name is written anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const pagePath = (page: string) => fileURLToPath(new URL(`../docs/${page}.md`, import.meta.url));

/** @throws Error where the page has no such place */
export function withRegion(page: string, name: string, content: string): string {
  const [start, end] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->\n`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page has no lines ${start.trim()} and ${end.trim()}`);
  return `${page.slice(0, from + start.length)}\n${content.trim()}\n\n${page.slice(to)}`;
}

export function writeRegion(page: string, name: string, content: string): void {
  const path = pagePath(page);
  writeFileSync(path, withRegion(readFileSync(path, 'utf8'), name, content));
}
