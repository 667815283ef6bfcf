import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { studyFiles } from '../../../bench/study/page.ts';

test("the study's page and figures in the docs are those of the kept results", async () => {
  const docs = new URL('../../../docs/', import.meta.url);
  const files = await studyFiles();
  expect([...files.keys()]).toContain('study.md');
  for (const [name, content] of files)
    expect([name, readFileSync(new URL(name, docs), 'utf8') === content]).toEqual([name, true]);
});
