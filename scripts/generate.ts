/** Writes crds/, docs/reference.md and the chart's generated files; with --check, fails where they are not current. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { crds } from '../src/api/index.ts';
import { chart, chartFiles } from './chart/index.ts';
import { reference } from './reference.ts';

const root = join(import.meta.dirname, '..');
const definitions = crds();
const files = new Map([
  ...definitions.map((crd): [string, string] => [
    `crds/${crd.spec.names.plural}.yaml`,
    // Anchors save nothing here, and readers of the file should not have to follow them.
    `# Generated from src/api by \`npm run generate\`.\n${stringify(crd, { aliasDuplicateObjects: false, lineWidth: 110 })}`,
  ]),
  ['docs/reference.md', reference(definitions)] as const,
  ...chartFiles(definitions, read(`${chart}/README.md`) ?? ''),
]);

const foreign = [...list('crds'), ...list(`${chart}/templates/crds`)].filter((file) => !files.has(file));
const stale = [...files].filter(([file, text]) => read(file) !== text).map(([file]) => file);

if (process.argv.includes('--check')) {
  for (const file of stale) console.error(`${file} is not current: npm run generate`);
  for (const file of foreign) console.error(`${file} comes from no kind: remove it`);
  process.exitCode = stale.length + foreign.length > 0 ? 1 : 0;
} else {
  for (const file of stale) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), files.get(file) as string);
    console.log(file);
  }
}

function read(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return undefined;
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(join(root, directory)).map((name) => `${directory}/${name}`);
  } catch {
    return [];
  }
}
