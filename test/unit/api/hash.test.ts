import { expect, it } from 'vitest';
import { hashOfSpec } from '../../../src/api/index.ts';

const spec = { model: { uri: 'pvc://a/b' }, probe: { samples: 64, data: { uri: 'pvc://a/c' } }, layers: 4 };
const hash = (changes: object) => hashOfSpec('EmulatorBuild', 'uid', { ...spec, ...changes });

it('does not change with what changes no result', () => {
  const model = { ...spec.model, secretRef: { name: 's' } };
  const probe = { data: spec.probe.data, shards: 4, samples: 64 };
  const jobs = {
    template: { spec: {} },
    suspend: true,
    ttlSecondsAfterFinished: 1,
    activeDeadlineSeconds: 1,
    backoffLimit: 1,
  };
  expect(hash({ ...jobs, model, probe, strategy: undefined })).toBe(hash({}));
});

it('changes with a result, the identity and the kind', () => {
  const others = [
    hash({ layers: 5 }),
    hash({ strategy: 'crash' }),
    hash({ probe: { samples: 65, data: spec.probe.data } }),
    hashOfSpec('EmulatorBuild', 'other', spec),
    hashOfSpec('PlugIn', 'uid', spec),
  ];
  expect(new Set([hash({}), ...others]).size).toBe(6);
});

it('is the sha256 of canonical JSON', () => {
  // printf '{"kind":"PlugIn","spec":{"a":[1,"x"],"b":true},"uid":"u"}' | sha256sum
  expect(hashOfSpec('PlugIn', 'u', { b: true, suspend: false, a: [1, 'x'] })).toBe(
    'a61545230e09e8fb5709e2a925ec5f121393e4481df1b84bad59b6093b661487',
  );
});
