/** Whose fault it is that the API server refuses a Job: only what the resource's own template sets is final. */
import { describe, expect, it } from 'vitest';
import { isOwnTemplatesFault } from '../../../../../operator/jobs/execute/refusal.ts';
import { ApiError, type KubeObject } from '../../../../../operator/runtime/index.ts';
import { resource, World } from '../../../../support/unit/operator/fixtures.ts';

const template = {
  metadata: { labels: { team: 'a b' } },
  spec: {
    priorityClassName: 'none',
    tolerations: [{ operator: 'Sometimes' }],
    initContainers: [{ name: 'fetch' }],
    containers: [
      { name: 'proxy', image: 'proxy:1', env: [{ name: 'A=', value: 'b' }] },
      {
        name: 'worker',
        resources: { limits: { memory: '1Gi' } },
        volumeMounts: [{ name: 'x', mountPath: '/x' }],
      },
    ],
  },
};

/** A Job, and the resource that it is made for. */
function made(): [KubeObject, KubeObject] {
  const world = new World(resource('EmulatorBuild', { spec: { template, engine: { provider: 'cuda' } } }));
  return [world.run().job('probe'), world.object];
}

function isFinal(...fields: (string | undefined)[]): boolean {
  const causes = fields.map((field) => (field === undefined ? { message: 'x' } : { field, message: 'x' }));
  return isOwnTemplatesFault(
    new ApiError('', { status: 422, reason: 'Invalid', details: { causes } }),
    ...made(),
  );
}

describe('an Invalid answer is final', () => {
  it.each([
    'spec.template.labels',
    'spec.template.labels[team]',
    'spec.template.spec.priorityClassName',
    // Ours for the GPU comes first in the merged list.
    'spec.template.spec.tolerations[1].operator',
    'spec.template.spec.initContainers[0].image',
    'spec.template.spec.containers[1].env[0].name',
    'spec.template.spec.containers[0].resources.limits[memory]',
    'spec.template.spec.containers[0].volumeMounts[0].name',
  ])('for %s', (field) => {
    expect(isFinal(field)).toBe(true);
  });

  it.each([
    undefined,
    '',
    'spec.template',
    'spec.backoffLimit',
    'metadata.labels',
    'spec.template.spec.tolerations[0].operator',
    'spec.template.spec.containers[0].image',
    // What a policy asks of the worker is not in the template's entry for it, and nobody says that it should be.
    'spec.template.spec.containers[0].livenessProbe',
    'spec.template.spec.containers[0].volumeMounts[1].name',
    'spec.template.spec.runtimeClassName',
    'spec.template.spec.volumes[0]',
  ])('not for %j', (field) => {
    expect(isFinal(field)).toBe(false);
  });

  it.each([
    ['into Go struct field PodSpec.spec.template.spec.nodeSelector of type string', false],
    ['into Go struct field PodSpec.spec.template.spec.priorityClassName of type string', true],
    ['into Go struct field EnvVar.spec.template.spec.containers.env.value of type string', true],
    ['into Go struct field Container.spec.template.spec.containers.ports of type []v1.ContainerPort', false],
  ])('for a value that cannot be read (%s): %s', (where, final) => {
    const message = `create Job a/b: Job in version "v1" cannot be handled as a Job: json: cannot unmarshal number ${where}`;
    expect(isOwnTemplatesFault(new ApiError(message, { status: 400, reason: 'BadRequest' }), ...made())).toBe(
      final,
    );
  });

  it('only where every cause is such a field', () => {
    expect(isFinal('spec.template.labels', 'spec.template.spec.priorityClassName')).toBe(true);
    expect(isFinal('spec.template.labels', undefined)).toBe(false);
    expect(isFinal()).toBe(false);
  });
});
