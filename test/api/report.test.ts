import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiServer } from '../support/api/api-server.ts';
import { kubectl } from '../support/cluster/kubectl.ts';
import { kubernetesPrograms } from '../support/cluster/programs.ts';
import { offsite } from '../support/offsite/index.ts';
import { tinyManifests } from '../support/tiny/index.ts';

let server: ApiServer;
let directory: string;
beforeAll(async () => {
  server = await ApiServer.start();
  directory = mkdtempSync(join(tmpdir(), 'offsite-report-'));
}, 900_000);
afterAll(async () => {
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const time = '2026-05-01T10:00:00Z';
const condition = (type: string, reason: string, message: string) => ({
  type,
  status: 'True',
  reason,
  message,
  lastTransitionTime: time,
});

/** As the operator leaves them: an emulator that was built, a training that failed, and what waits for it. */
const statuses = {
  build: {
    phase: 'Complete',
    similarity: { adjacent: ['0.900000', '0.500000', '0.990000', '0.980000'] },
    plan: {
      clusters: [[0], [1], [2, 3], [4]],
      kept: [0, 1, 3, 4],
      transferLayers: [0, 4],
      source: [0, 1, 3, 3, 4],
    },
    scores: { reason: 'evaluation.limit is 0', exactTensorShare: '0.8000' },
    artifact: { uri: 'pvc://claim/out/emulator', digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 1000 },
    conditions: [condition('Complete', 'Complete', 'every stage is done')],
  },
  tune: {
    phase: 'Failed',
    conditions: [condition('Failed', 'BadData', 'train.jsonl: row 3: its answer is cut')],
  },
  plug: {
    phase: 'Pending',
    conditions: [condition('Waiting', 'DependencyNotComplete', 'waits for OffsiteTune tiny')],
  },
};

it('offsite report reads what lies in a cluster with kubectl, and says what it cannot reach', async () => {
  const namespace = await server.namespace();
  const { kubeconfig } = server.plane;
  const manifests = tinyManifests((place) => `pvc://claim/${place}`);
  for (const part of ['build', 'tune', 'plug'] as const) {
    const made = kubectl(
      kubeconfig,
      ['create', '--namespace', namespace, '--filename', '-', '--output', 'json'],
      JSON.stringify(manifests[part]),
    );
    const withStatus = { ...JSON.parse(made), status: statuses[part] };
    kubectl(
      kubeconfig,
      ['replace', '--subresource', 'status', '--filename', '-'],
      JSON.stringify(withStatus),
    );
  }

  const output = join(directory, 'report.html');
  const PATH = [dirname(kubernetesPrograms('kubectl').kubectl), process.env['PATH']].join(delimiter);
  const environment = { KUBECONFIG: kubeconfig, PATH };
  const args = ['report', 'tiny', '--namespace', namespace, '--output', output, '--json'];
  const { code, stdout, stderr } = await offsite(args, { environment });
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    report: output,
    emulatorBuilds: 1,
    offsiteTunes: 1,
    plugIns: 1,
    unreadable: [],
  });
  const page = readFileSync(output, 'utf8');
  for (const part of [
    `namespace ${namespace}`,
    'OffsiteTune tiny failed, so nothing was measured',
    'train.jsonl: row 3: its answer is cut',
    'The whole matrix is not shown: pvc://claim/out/emulator cannot be reached from here.',
    'Neighbouring layers',
    'Model and emulator were not scored: evaluation.limit is 0.',
  ]) {
    expect(page).toContain(part);
  }

  // Without a namespace kubectl's own: that of its current context.
  const own = join(directory, 'kubeconfig');
  copyFileSync(kubeconfig, own);
  kubectl(own, ['config', 'set-context', '--current', '--namespace', namespace]);
  const there = { ...environment, KUBECONFIG: own };
  const named = await offsite(['report', 'tiny', '--output', output, '--json'], { environment: there });
  expect(named.code, named.stderr).toBe(0);
  expect(JSON.parse(named.stdout)).toMatchObject({ emulatorBuilds: 1, offsiteTunes: 1, plugIns: 1 });
  const elsewhere = await offsite(['report', 'tiny'], { environment });
  expect(elsewhere.stderr).toContain('"tiny" in namespace default');

  const nobody = await offsite(['report', 'nobody', '--namespace', namespace], { environment });
  expect(nobody.code).toBe(2);
  expect(nobody.stderr).toContain(`"nobody" in namespace ${namespace}`);
});
