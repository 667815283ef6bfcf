// examples/rounds in namespaces: what each owner applies is a resource that the schemas take, and refers to nothing of another namespace.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { inNamespace, inputsOf, manifestsOfRounds, ownerOf } from '../../../examples/rounds/in-namespaces.ts';
import { parseResource } from '../../../src/api/index.ts';

const manifests = manifestsOfRounds();
const digestOf = (name: string) => `sha256:${createHash('sha256').update(name).digest('hex')}`;
const told = new Map(
  manifests.map((manifest) => {
    const { name } = manifest.metadata;
    return [name, { uri: `s3://exchange/from-${ownerOf(manifest)}/${name}`, digest: digestOf(name) }];
  }),
);

test('five namespaces, each with its own resources; all that others made is by address, digest and signer', () => {
  const made = manifests.map((manifest) => inNamespace(manifest, told, 's3://exchange'));
  const owners = ['model-owner', 'north', 'east', 'south', 'west'];
  expect(new Set(made.map(({ metadata }) => metadata.namespace))).toEqual(new Set(owners));
  for (const [i, manifest] of made.entries()) {
    const { name, namespace } = manifest.metadata;
    expect(parseResource(manifest, name).metadata).toMatchObject({ name, namespace });
    const foreign = inputsOf(manifests[i]!).filter(({ owner }) => owner !== namespace);
    const at = ([field, index]: readonly (string | number)[]) =>
      index === undefined ? manifest.spec[field!] : (manifest.spec[field!] as object[])[index as number];
    for (const { path, name: other, owner } of foreign)
      expect(at(path)).toEqual({ ...told.get(other), signer: owner, secretRef: { name: 'exchange' } });
    const kept = namespace === 'model-owner' && name !== 'rounds' ? ['emulator'] : [];
    expect(
      Object.entries(manifest.spec).flatMap(([field, value]) =>
        JSON.stringify(value).includes('"ref"') ? [field] : [],
      ),
    ).toEqual(kept);
    const signers = (manifest.spec['signers'] ?? []) as { name: string }[];
    expect(signers.map((signer) => signer.name)).toEqual([...new Set(foreign.map(({ owner }) => owner))]);
    expect(manifest.spec['output']).toMatchObject({
      uri: `s3://exchange/from-${namespace}/${name}`,
      signingKeyRef: { name: 'signing' },
    });
  }
});

test('the command prints it, from lines as the docs let owners hand them over; what is missing is named', () => {
  const script = fileURLToPath(new URL('../../../examples/rounds/in-namespaces.ts', import.meta.url));
  const run = (...args: string[]) => spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  const line = (name: string) => `${name}=uri: "${told.get(name)!.uri}", digest: "${digestOf(name)}"\n`;
  const { status, stdout, stderr } = run('north-2', line('rounds'), line('round-1'));
  expect(status, stderr).toBe(0);
  const manifest = manifests.find(({ metadata }) => metadata.name === 'north-2')!;
  expect(parse(stdout)).toEqual(inNamespace(manifest, told, 's3://exchange'));
  const without = run('round-1', line('north-1'));
  expect(without).toMatchObject({ status: 2, stdout: '' });
  expect(without.stderr).toContain('round-1 refers to east-1 of east: give east-1=');
});
