/** Places of a stage that are one by different names: what two Secrets open may be one server's. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseResource } from '../../../src/api/index.ts';
import { Mirror } from '../../../src/artifact/index.ts';
import type { StageJob } from '../../../src/worker/job.ts';
import { checkPlaces } from '../../../src/worker/places.ts';
import { setField, tinyManifests } from '../../support/tiny/index.ts';

const root = mkdtempSync(join(tmpdir(), 'offsite-places-'));
const scratch = join(root, 'scratch');
const secrets = join(root, 'secrets');
const opening: Record<string, Record<string, string>> = {
  reader: { AWS_ENDPOINT_URL: 'https://store.example.com' },
  writer: { AWS_ENDPOINT_URL_S3: 'https://STORE.example.com:443/' },
  elsewhere: { AWS_ENDPOINT_URL: 'https://other.example.com' },
  amazon: { AWS_ACCESS_KEY_ID: 'a' },
  'amazon-too': { AWS_ACCESS_KEY_ID: 'b' },
};

beforeAll(() => {
  for (const [name, values] of Object.entries(opening)) {
    mkdirSync(join(secrets, name), { recursive: true });
    for (const [key, value] of Object.entries(values)) writeFileSync(join(secrets, name, key), value);
  }
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Case {
  reads: string;
  writes: string;
  emulator?: string;
  output?: string;
  work?: string;
  /** Where Secrets are mounted; nowhere, one environment opens all. */
  mounted?: string | undefined;
}

/** A training whose inputs one Secret opens, and its output and work place another. */
function check({ reads, writes, mounted = secrets, ...places }: Case): () => void {
  const { emulator = 's3://team/emulator', output = 's3://team/adapter', work = 's3://team/work' } = places;
  const digest = `sha256:${'e'.repeat(64)}`;
  const { tune } = tinyManifests((place) => `s3://team/${place}`);
  const read = { uri: emulator, digest, secretRef: { name: reads } };
  const secretRef = { name: writes };
  setField(tune, 'spec.emulator', read);
  setField(tune, 'spec.output', { uri: output, secretRef });
  setField(tune, 'spec.work', { uri: work, secretRef });
  const job: StageJob = {
    stage: 'tune',
    resource: parseResource(tune, 'test'),
    mounts: { claims: {}, base: '/', scratch },
    inputs: { emulator: read },
  };
  const { signal } = new AbortController();
  const mirror = new Mirror({ scratch, secrets: mounted || undefined, environment: {}, signal });
  return () => checkPlaces(job, (path) => mirror.comparable(path));
}

const openers: [string, Pick<Case, 'reads' | 'writes' | 'mounted'>][] = [
  ['one server by two spellings', { reads: 'reader', writes: 'writer' }],
  ['AWS with two keys', { reads: 'amazon', writes: 'amazon-too' }],
  ['one environment', { reads: 'reader', writes: 'elsewhere', mounted: '' }],
];

it.each(openers)(
  'an output or a work place that is an input by another Secret is refused: %s',
  (_, names) => {
    const of = 'must lie outside of spec.emulator (';
    expect(check({ ...names, output: 's3://team/emulator' })).toThrow(`spec.output.uri: ${of}`);
    expect(check({ ...names, output: 's3://team/emulator/mine' })).toThrow(`spec.output.uri: ${of}`);
    const emulator = 's3://team/work/offsitetune/default/tiny';
    expect(check({ ...names, emulator })).toThrow('the work place must lie outside of each other');
    expect(check({ ...names, emulator: 's3://team/adapter.result.json' })).toThrow(
      'is a name that is kept for',
    );
    expect(check(names)).not.toThrow();
  },
);

it.each([
  ['elsewhere', 'on another server'],
  ['amazon', 'on AWS'],
  ['missing', 'by a Secret that is not there, which is said where it is to open something'],
])('a bucket of the same name is another: %s, %s', (writes) => {
  expect(check({ reads: 'reader', writes, output: 's3://team/emulator' })).not.toThrow();
});
