import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** An installed package to copy. */
export interface InstalledPackage {
  /** From the repository's root: node_modules/... */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** As its package.json states it. */
  readonly license: string | undefined;
  /** Whether a file of it, named from the package's folder, does nothing at run time. */
  readonly skips: (file: string) => boolean;
}

/** onnxruntime-node needs these only to download GPU libraries at its installation. */
const installerOnly: Record<string, readonly string[]> = { 'onnxruntime-node': ['adm-zip', 'global-agent'] };

/** As Node names it. */
export type Architecture = 'x64' | 'arm64';

/** Of the packages that bring native code for every platform, the files of others than the image's. */
const otherPlatforms = (architecture: Architecture): Readonly<Record<string, RegExp>> => ({
  'onnxruntime-node': new RegExp(
    `^bin/napi-v\\d+/(?!linux(/|$))|^bin/napi-v\\d+/linux/(?!${architecture}(/|$))`,
  ),
  tokenizers: new RegExp(`\\.(?!linux-${architecture}-gnu)[\\w-]+\\.node$`),
});
const forDevelopers = /\.(d\.[cm]?ts|map|md|markdown)$|^(dist-types|docs|test|tests|examples)(\/|$)/;

/** These packages and all that they depend on, each once, as npm installed them for production. */
export function packagesFor(names: readonly string[], architecture: Architecture): InstalledPackage[] {
  const foreign = otherPlatforms(architecture);
  const found = new Map<string, InstalledPackage>();
  const visit = (name: string, from: string, optional: boolean) => {
    const path = resolve(name, from);
    if (path === undefined) {
      if (optional) return;
      throw new Error(`${name}, which ${from || 'the source'} needs, is not installed: run npm ci`);
    }
    if (found.has(path)) return;
    const { version, license, dependencies = {}, optionalDependencies = {} } = manifestOf(path);
    found.set(path, {
      path,
      name,
      version,
      license: licenseIn(license),
      skips: (file) =>
        forDevelopers.test(file) || file === 'node_modules' || foreign[name]?.test(file) === true,
    });
    for (const next of Object.keys(dependencies)) {
      if (!installerOnly[name]?.includes(next)) visit(next, path, next in optionalDependencies);
    }
    for (const next of Object.keys(optionalDependencies)) visit(next, path, true);
  };
  for (const name of names) visit(name, '', false);
  return [...found.values()];
}

/** Where Node finds a package that is imported from a folder: the nearest node_modules on the way up. */
function resolve(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder) === '.' ? '' : dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return path;
    if (folder === '') return undefined;
  }
}

interface Manifest {
  readonly version: string;
  readonly license?: unknown;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

/** Some old packages have a mapping there. */
export const licenseIn = (stated: unknown): string | undefined =>
  typeof stated === 'string' ? stated : undefined;

export const manifestOf = (path: string) =>
  JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest;
