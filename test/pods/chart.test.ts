import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helm } from '../support/chart/helm.ts';
import { builtImages, installChart, systemNamespace } from '../support/cluster/chart.ts';
import { canRunNode, Release } from '../support/pods/release.ts';
import { foreignClusterTests } from './foreign-cluster.ts';

const limitMs = 10 * 60_000;
const nats = 'statefulset/offsite-offsite-tuning-nats';

describe.skipIf(!canRunNode())('the chart on a real node', () => {
  let release: Release;
  const kubectl = (...args: string[]) => release.cluster.kubectl([...args, '--namespace', systemNamespace]);
  const onRelease = (...args: string[]) =>
    helm([...args, '--namespace', systemNamespace, '--kubeconfig', release.cluster.kubeconfig]);

  beforeAll(async () => {
    release = await Release.install();
  }, limitMs);
  afterAll(() => release?.remove());

  it('passes helm test', () => {
    expect(onRelease('test', 'offsite')).toMatchObject({ status: 0, stderr: '' });
  });

  it('runs as Pod Security `restricted` asks', () => {
    kubectl('label', 'namespace', systemNamespace, 'pod-security.kubernetes.io/enforce=restricted');
    kubectl('delete', 'pods', '--all');
    kubectl('rollout', 'status', nats, '--timeout=2m');
    kubectl('rollout', 'status', 'deployment/offsite-offsite-tuning-operator', '--timeout=2m');
    expect(onRelease('test', 'offsite').status).toBe(0);
  });

  it('fails helm test without NATS, and says so', () => {
    kubectl('scale', nats, '--replicas=0');
    // Until it has ended, it answers.
    kubectl('wait', '--for=delete', 'pod/offsite-offsite-tuning-nats-0', '--timeout=2m');
    const { status, stdout } = onRelease('test', 'offsite', '--logs');
    expect(stdout).toContain('ok: the operator is ready');
    expect(stdout).toContain('FAILED: NATS answers');
    expect(status).toBe(1);
    kubectl('scale', nats, '--replicas=1');
    kubectl('rollout', 'status', nats, '--timeout=2m');
  });

  foreignClusterTests(() => release);

  it('comes back after helm uninstall, with the keys and the claim that it had', () => {
    const keys = () =>
      kubectl('get', 'secret', 'offsite-offsite-tuning-nats-auth', '--output', 'jsonpath={.data}');
    const before = keys();
    expect(onRelease('uninstall', 'offsite', '--wait').status).toBe(0);
    expect(kubectl('get', 'pvc', '--output', 'name')).toContain('data-offsite-offsite-tuning-nats-0');
    installChart(release.cluster.kubeconfig, builtImages);
    expect(keys()).toBe(before);
    expect(onRelease('test', 'offsite').status).toBe(0);
  });
});
