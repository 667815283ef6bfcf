/**
 * Lays out what goes into an image, so that its Dockerfile only copies: node scripts/images/stage.ts NAME DIR [x64|arm64].
 * operator: one bundled file. worker: the sources that it runs and the installed packages that these import, no others.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { billOf, type Component } from './bill.ts';
import { type Architecture, type InstalledPackage, licenseIn, manifestOf, packagesFor } from './packages.ts';

const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  metafile: true,
  logLevel: 'warning',
} as const;

async function stageOperator(directory: string): Promise<Component[]> {
  const { metafile } = await build({
    ...common,
    entryPoints: ['operator/main.ts'],
    outfile: join(directory, 'main.mjs'),
    // CommonJS packages in the bundle ask for Node's own modules by require.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    plugins: [withoutModels],
  });
  const heavy = Object.keys(metafile.inputs).filter((path) => path.includes('onnxruntime'));
  if (heavy.length > 0) throw new Error(`the operator's image would hold ${heavy[0]}`);
  return Object.keys(metafile.inputs).flatMap((path) => packageHolding(path) ?? []);
}

/** client-node's package is mostly models that are not used; esbuild cannot know that leaving them out changes nothing. */
const withoutModels: Plugin = {
  name: 'without-models',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^(@kubernetes\/client-node$|\.)/ }, async ({ path, pluginData, ...asked }) => {
      const ofClient = path.startsWith('@') || asked.importer.includes('@kubernetes/client-node');
      if (pluginData === 'resolved' || !ofClient) return undefined;
      const { importer, kind, resolveDir } = asked;
      const found = await resolve(path, { importer, kind, resolveDir, pluginData: 'resolved' });
      return { ...found, sideEffects: false };
    });
  },
};

async function stageWorker(directory: string, architecture: Architecture): Promise<Component[]> {
  const { metafile } = await build({
    ...common,
    // The files of other threads and processes are named by URL, which no bundler follows.
    entryPoints: [
      'src/worker/pod/main.ts',
      'src/worker/thread/compute.ts',
      'src/subprocess/main.ts',
      'src/data/parquet-program.ts',
      'src/tokenizer/program/work.ts',
    ],
    outdir: directory,
    packages: 'external',
    write: false,
  });
  const imported = new Set<string>();
  for (const [path, { imports }] of Object.entries(metafile.inputs)) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    cpSync(path, join(directory, path));
    for (const { path: name, external } of imports) if (external) imported.add(packageOf(name));
  }
  for (const name of builtinModules) imported.delete(name);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ type: 'module' }));
  const packages = packagesFor([...imported], architecture);
  copyPackages(packages, directory);
  return packages;
}

/** The package that a bundled file is of. */
function packageHolding(path: string): Component | undefined {
  const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
  if (folder === undefined) return undefined;
  const { version, license } = manifestOf(folder);
  return { name: folder.replace(/^.*node_modules\//, ''), version, license: licenseIn(license) };
}

/** Copies packages, unless exactly these are there already: that takes most of the time. */
function copyPackages(packages: readonly InstalledPackage[], directory: string): void {
  const list = join(directory, '../packages.txt');
  const wanted = packages.map(({ path, version }) => `${path} ${version}\n`).join('');
  if (existsSync(list) && readFileSync(list, 'utf8') === wanted) return;
  rmSync(list, { force: true });
  rmSync(join(directory, 'node_modules'), { recursive: true, force: true });
  for (const { path, skips } of packages) {
    cpSync(path, join(directory, path), {
      recursive: true,
      filter: (file) => !skips(file.slice(path.length + 1)),
    });
  }
  writeFileSync(list, wanted);
}

const packageOf = (specifier: string) =>
  specifier.startsWith('node:')
    ? specifier.slice(5)
    : specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');

const [name, directory, architecture = 'x64'] = process.argv.slice(2) as [string, string, Architecture?];
const stages: Record<string, typeof stageWorker> = {
  operator: stageOperator,
  worker: stageWorker,
};
const app = join(directory, 'app');
mkdirSync(app, { recursive: true });
for (const entry of readdirSync(app).filter((entry) => entry !== 'node_modules')) {
  rmSync(join(app, entry), { recursive: true });
}
const components = await stages[name]?.(app, architecture);
const { version, license } = manifestOf('.');
const subject = { name: `offsite-${name}`, version, license: licenseIn(license) };
writeFileSync(
  join(app, 'sbom.cdx.json'),
  `${JSON.stringify(billOf(subject, components ?? []), undefined, 1)}\n`,
);
