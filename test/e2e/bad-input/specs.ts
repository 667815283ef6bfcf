import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { setField } from '../../support/tiny/index.ts';
import type { Case } from './case.ts';

const spec = (name: string, kind: Case['kind'], change: Case['change'], message: RegExp): Case => ({
  name,
  kind,
  change,
  reason: 'BadSpec',
  message,
});

/** Specs that do not fit the model, and places that must not be written to. */
export const specCases: Case[] = [
  spec(
    'K larger than the layers',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.layers', 6),
    /^stage probe .*spec\.layers is 6, but the model has 5 layers; use 1 to 5/,
  ),
  spec(
    'transfer layers that are not kept',
    'EmulatorBuild',
    ({ manifest }) => {
      setField(manifest, 'spec.strategy', 'uniform');
      setField(manifest, 'spec.layers', 2);
      setField(manifest, 'spec.transferLayers', { layers: [1] });
    },
    /spec\.transferLayers\.layers: 1 not among the kept layers \(0, 4\); choose of these/,
  ),
  spec(
    'a claim that is not mounted',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'pvc://models/smollm2'),
    /spec\.model\.uri: claim models is not mounted; with offsite run, add --mount models=DIR/,
  ),
  spec(
    'a claim with the name of what every object has',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'pvc://constructor/smollm2'),
    /spec\.model\.uri: claim constructor is not mounted/,
  ),
  spec(
    'a model at a URL with a NUL in its path',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'file:///models/a%00b'),
    /spec\.model\.uri: file:\/\/\/models\/a%00b names no place on this machine/,
  ),
  spec(
    'a model whose name is too long',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', `file:${'m'.repeat(300)}`),
    /\(exit code 10\): spec\.model\.uri: a name is longer than this file system takes: ENAMETOOLONG/,
  ),
  spec(
    'a model below a file',
    'EmulatorBuild',
    ({ manifest }) => setField(manifest, 'spec.model.uri', 'file:base/data/probe.jsonl/model'),
    /\(exit code 10\): spec\.model\.uri: \/\S+\/probe\.jsonl\/model lies below a file/,
  ),
  spec(
    'an output whose name is too long',
    'OffsiteTune',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('made', 'o'.repeat(300))}`),
    /\(exit code 10\): spec\.output\.uri: a name is longer than this file system takes: ENAMETOOLONG/,
  ),
  spec(
    'an output below a file',
    'PlugIn',
    ({ manifest, path }) => {
      writeFileSync(path('note'), '');
      setField(manifest, 'spec.output.uri', `file:${path('note/made/here')}`);
    },
    /\(exit code 10\): spec\.output\.uri: \/\S+\/note\/made\/here lies below a file/,
  ),
  spec(
    'a model behind links that lead in a circle',
    'PlugIn',
    ({ manifest, path }) => {
      symlinkSync('circle', path('circle'));
      setField(manifest, 'spec.model.uri', `file:${path('circle')}`);
    },
    /\(exit code 10\): spec\.model\.uri: \/\S+\/circle is a symbolic link that leads nowhere/,
  ),
  spec(
    'an output behind links that lead in a circle',
    'EmulatorBuild',
    ({ manifest, path }) => {
      symlinkSync('circle', path('circle'));
      setField(manifest, 'spec.output.uri', `file:${path('circle/made')}`);
    },
    /\(exit code 10\): spec\.output\.uri: symbolic links lead in a circle: ELOOP/,
  ),
  spec(
    'an output in place of the model',
    'EmulatorBuild',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('model')}`),
    /spec\.output\.uri: must lie outside of spec\.model\.uri/,
  ),
  spec(
    'an output inside the model',
    'EmulatorBuild',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('model/out')}`),
    /spec\.output\.uri: must lie outside of spec\.model\.uri/,
  ),
  spec(
    'an output around the rows',
    'OffsiteTune',
    ({ manifest, path }) => setField(manifest, 'spec.output.uri', `file:${path('data')}`),
    /spec\.output\.uri: must lie outside of spec\.data\.uri/,
  ),
  spec(
    'an output where other files are',
    'EmulatorBuild',
    ({ manifest, path }) => {
      mkdirSync(path('photos'));
      writeFileSync(path('photos/sea.jpg'), 'sea');
      setField(manifest, 'spec.output.uri', `file:${path('photos')}`);
    },
    /spec\.output\.uri: .*photos holds "sea\.jpg" and is no artifact/,
  ),
  spec(
    'a file in place of the output',
    'EmulatorBuild',
    ({ manifest, path }) => {
      writeFileSync(path('bundle'), 'mine');
      setField(manifest, 'spec.output.uri', `file:${path('bundle')}`);
    },
    /spec\.output\.uri: .*bundle is a file; an artifact is a directory/,
  ),
];
