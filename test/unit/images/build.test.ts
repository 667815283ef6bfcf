import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { billOf } from '../../../scripts/images/bill.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
let directory: string;

/** A checkout with only what building the image of NATS takes, and a Docker that writes down what it is told. */
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'offsite-images-'));
  for (const file of [
    'scripts/images/build.sh',
    'images/nats/Dockerfile',
    'charts/offsite-tuning/Chart.yaml',
  ]) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    cpSync(join(root, file), join(directory, file));
  }
  program('bin/docker', `echo "$@" >>${join(directory, 'told')}`);
  program('scripts/setup/nats-server.sh', 'version=v2.0.0\necho "$0"');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function program(name: string, lines: string): void {
  const file = join(directory, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${lines.replace('version=', '\nversion=')}\n`);
  chmodSync(file, 0o755);
}

function build(environment: Record<string, string>): string {
  const PATH = `${join(directory, 'bin')}:${process.env['PATH']}`;
  const env = { PATH, HOME: directory, ...environment };
  execFileSync('sh', ['scripts/images/build.sh', 'nats'], { cwd: directory, env, stdio: 'pipe' });
  const told = readFileSync(join(directory, 'told'), 'utf8').split('\n');
  return told.find((line) => line.startsWith('build ')) ?? '';
}

it('BASE is for operator and worker: the image of NATS keeps its own, or takes NATS_BASE', () => {
  expect(build({ BASE: 'node:mine' })).not.toContain('BASE=');
  rmSync(join(directory, 'told'));
  expect(build({ BASE: 'node:mine', NATS_BASE: 'cc:mine' })).toContain('--build-arg BASE=cc:mine');
});

it('an image says its version, and its commit where it is told', () => {
  expect(build({ REVISION: 'abc' })).toMatch(
    /--label org\.opencontainers\.image\.version=2\.0\.0 --label org\.opencontainers\.image\.revision=abc/,
  );
});

it.each(['operator', 'worker', 'worker-webgpu', 'worker-cuda', 'nats', 'pause'])(
  'the Dockerfile of %s has the labels',
  (name) => {
    const text = readFileSync(join(root, 'images', name, 'Dockerfile'), 'utf8');
    for (const label of ['title', 'description', 'licenses'])
      expect(text).toMatch(new RegExp(`org\\.opencontainers\\.image\\.${label}="[^"]+"`));
  },
);

it('a bill of materials names each package once, in an order of its own', () => {
  const zod = { name: 'zod', version: '4.0.0', license: 'MIT' };
  const client = { name: '@aws-sdk/client-s3', version: '3.0.0' };
  const bill = billOf({ name: 'offsite-worker', version: '0.1.0', license: 'Apache-2.0' }, [
    zod,
    client,
    zod,
  ]);
  expect(bill).toEqual(
    billOf({ name: 'offsite-worker', version: '0.1.0', license: 'Apache-2.0' }, [client, zod]),
  );
  expect(bill).toMatchObject({
    bomFormat: 'CycloneDX',
    components: [
      { purl: 'pkg:npm/%40aws-sdk/client-s3@3.0.0' },
      { purl: 'pkg:npm/zod@4.0.0', licenses: [{ expression: 'MIT' }] },
    ],
  });
});
