import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refuseInside, sealArtifact } from '../../../../src/artifact/index.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'offsite-surroundings-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const at = (path: string) => join(root, path);

function seal(path: string): string {
  mkdirSync(at(path), { recursive: true });
  writeFileSync(at(`${path}/adapter.safetensors`), 'weights');
  return sealArtifact(at(path), { kind: 'Adapter', madeFrom: {}, hyperparameters: {} }).digest;
}

describe('an output', () => {
  it.each(['out/lora/nested', 'out/lora/a/b/c'])('%s inside an artifact is refused, and named', (output) => {
    const digest = seal('out/lora');
    expect(() => refuseInside(at(output), 'spec.output.uri')).toThrow(
      `spec.output.uri: ${at(output)} lies inside ${at('out/lora')}, which is an artifact of kind Adapter (${digest}), and its readers refuse every file that is not its own: choose a place outside of it`,
    );
  });

  it.each(['out/lora', 'out/lora-2', 'out/other/lora'])('%s beside or in place of one is not', (output) => {
    seal('out/lora');
    refuseInside(at(output), 'spec.output.uri');
  });

  it.each([
    ['a manifest of somebody else', '{"name": "results", "files": []}'],
    ['no JSON', 'results'],
    ['nothing', ''],
  ])('may lie where a manifest.json is %s', (_, text) => {
    writeFileSync(at('manifest.json'), text);
    refuseInside(at('out/lora'), 'spec.output.uri');
    mkdirSync(at('deep/manifest.json'), { recursive: true });
    refuseInside(at('deep/lora'), 'spec.output.uri');
  });
});
