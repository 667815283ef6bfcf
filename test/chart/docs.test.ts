import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseResource } from '../../src/api/index.ts';
import { ofKind, render, template } from '../support/chart/helm.ts';
import { modes } from '../support/chart/modes.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const pages = [
  'docs/install.md',
  'docs/exchange.md',
  'docs/security.md',
  'docs/operations.md',
  'docs/stores.md',
  'charts/offsite-tuning/README.md',
];

/** The fenced blocks of a language. */
const blocks = (page: string, language: string) =>
  [...read(page).matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text]) => text as string,
  );

describe.each(pages)('%s', (page) => {
  it('shows values that the chart takes and resources that the schemas take', () => {
    for (const block of blocks(page, 'yaml')) {
      const value = parse(block);
      if (block.startsWith('# values.yaml')) expect(template(value)).toMatchObject({ status: 0, stderr: '' });
      else expect(parseResource(value, page).kind).toBe(value.kind);
    }
  });

  it('names make targets that there are', () => {
    const targets = [...read('Makefile').matchAll(/^([a-z-]+):/gm)].map(([, target]) => target);
    for (const [, named] of read(page).matchAll(/(?:^|`)make ([a-z -]+?)(?:`| {2,}|$)/gm))
      for (const target of (named as string).split(' ')) expect(targets, page).toContain(target);
  });

  it('links to files that there are', () => {
    for (const [, link] of read(page).matchAll(/\]\(([^)#:]+)\)/g))
      expect(existsSync(new URL(link as string, new URL(page, root))), `${page}: ${link}`).toBe(true);
  });

  it('names values that there are', () => {
    const schema = JSON.parse(read('charts/offsite-tuning/values.schema.json'));
    // `operator.creds` is a file.
    const groups = Object.keys(schema.properties).join('|');
    for (const [, path] of read(page).matchAll(
      new RegExp(`\`((?:${groups})(?:\\.(?!creds)[A-Za-z]+)+)[\`: ]`, 'g'),
    )) {
      let at = schema;
      for (const name of (path as string).split('.')) at = at?.properties?.[name];
      expect(at, `${page}: ${path}`).toBeDefined();
    }
  });
});

/** Lies in the package that the study's second model comes in. */
const ofAPackage = 'NOTICE.md';

it('no source cites a page that is not in the repository', () => {
  for (const folder of ['src', 'operator', 'test', 'scripts', 'bench'])
    for (const name of readdirSync(new URL(`${folder}/`, root), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|py|sh)$/.test(name)) continue;
      const text = read(`${folder}/${name}`);
      for (const [cited] of text.matchAll(/(?<![\w/.-])[A-Z][A-Z-]+\.md\b/g))
        expect(['README.md', ofAPackage], `${folder}/${name}`).toContain(cited);
    }
});

it('operations.md says what to do at each alert', () => {
  const headings = [...read('docs/operations.md').matchAll(/^#+ (Offsite\w+)$/gm)].map(([, name]) => name);
  const [{ rules }] = ofKind(render(modes['everything']), 'PrometheusRule')[0]!['spec'].groups;
  expect(headings.sort()).toEqual(rules.map(({ alert }: { alert: string }) => alert).sort());
});
