import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KubeObject } from '../../operator/runtime/index.ts';
import { ApiServer, offsiteTunes } from '../support/api/api-server.ts';
import { kubernetesPrograms } from '../support/cluster/programs.ts';
import { offsite, startOffsite } from '../support/offsite/index.ts';
import { tinyManifests } from '../support/tiny/index.ts';

let server: ApiServer;
let environment: Record<string, string>;

beforeAll(async () => {
  server = await ApiServer.start();
  const { kubectl } = kubernetesPrograms('kubectl');
  environment = {
    KUBECONFIG: server.plane.kubeconfig,
    PATH: `${dirname(kubectl)}:${process.env['PATH']}`,
  };
});
afterAll(() => server?.stop());

async function created(namespace: string): Promise<KubeObject> {
  const { tune } = tinyManifests((place) => `pvc://team/${place}`);
  return await server.client.create(
    offsiteTunes,
    {
      ...tune,
      metadata: { ...tune.metadata, namespace },
    } as unknown as KubeObject,
    { fieldManager: 'test' },
  );
}

const condition = (type: string, reason: string, message: string) => ({
  type,
  status: 'True',
  reason,
  message,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

async function setStatus(
  { apiVersion, kind, metadata: { name, namespace } }: KubeObject,
  status: object,
): Promise<void> {
  const object = { apiVersion, kind, metadata: { name, namespace }, status } as unknown as KubeObject;
  await server.client.applyStatus(offsiteTunes, object, { fieldManager: 'test' });
}

test('without NATS the status is followed to its end, each news once', async () => {
  const namespace = await server.namespace('watch');
  const resource = await created(namespace);
  await setStatus(resource, {
    phase: 'Pending',
    conditions: [condition('Waiting', 'DependencyNotComplete', 'for EmulatorBuild tiny')],
  });
  const watching = startOffsite(['watch', 'ot/tiny', '-n', namespace], { environment });
  await new Promise<void>((resolve) => watching.child.stderr?.on('data', () => resolve()));
  const progress = { stage: 'tune', progressPercentage: 40, metrics: [{ name: 'loss', value: '1.2' }] };
  await setStatus(resource, { phase: 'Running', progress });
  await sleep(500);
  await setStatus(resource, {
    phase: 'Complete',
    conditions: [condition('Complete', 'Complete', 'every stage is done')],
  });
  const { code, stderr } = await watching.ended;
  expect(stderr.trim().split('\n')).toEqual([
    'OffsiteTune tiny  warning: DependencyNotComplete: for EmulatorBuild tiny',
    'OffsiteTune tiny  tune: 40%, loss 1.2',
    'OffsiteTune tiny  Complete',
  ]);
  expect(code).toBe(0);
});

test('a failed resource: its reason, and exit 1', async () => {
  const namespace = await server.namespace('watch');
  await setStatus(await created(namespace), {
    phase: 'Failed',
    conditions: [condition('Failed', 'BadData', 'row 3')],
  });
  const { code, stderr } = await offsite(['watch', 'OffsiteTune/tiny', '-n', namespace], { environment });
  expect(stderr.trim()).toBe('OffsiteTune tiny  Failed: BadData: row 3');
  expect(code).toBe(1);
});

test('what kubectl cannot do is told in its own words', async () => {
  const { code, stderr } = await offsite(['watch', '-n', 'x'], {
    environment: { ...environment, KUBECONFIG: '/nowhere' },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^kubectl: .*\S/);
});
