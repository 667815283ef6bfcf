import { describe, expect, it } from 'vitest';
import { type EmulatorBuildSpec, OffsiteError, parseResource, wayOf } from '../../../src/api/index.ts';

const build = {
  apiVersion: 'offsite-tuning.dev/v1alpha1',
  kind: 'EmulatorBuild',
  metadata: { name: 'words' },
  spec: {
    model: { uri: 'pvc://models/smollm2' },
    probe: { data: { uri: 'file:probe.jsonl', format: 'text' } },
    layers: 24,
    output: { uri: 'pvc://artifacts/words-emulator' },
  },
};
const tune = {
  ...build,
  kind: 'OffsiteTune',
  spec: {
    emulator: { ref: { name: 'words' } },
    data: { uri: 'pvc://data/train.jsonl', format: 'multipleChoice' },
    training: { steps: 120 },
    output: { uri: 'pvc://artifacts/words-adapter' },
  },
};
const plug = {
  ...build,
  kind: 'PlugIn',
  spec: {
    model: { uri: 'pvc://models/smollm2' },
    emulator: { ref: { name: 'words' } },
    adapter: { ref: { name: 'words' } },
    output: { uri: 'pvc://artifacts/words-model' },
  },
};
const task = { name: 'words', data: { uri: 'pvc://data/test.jsonl' }, format: 'multipleChoice' };
const pairs = { uri: 'pvc://data/pairs.jsonl', format: 'preference' };

function problems(value: unknown): string[] {
  try {
    parseResource(value, 'words.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    expect((error as OffsiteError).reason).toBe('BadSpec');
    return (error as Error).message.split('\n');
  }
  return [];
}

/** The base manifest with some fields of its spec changed. */
const withSpec = (base: { spec: object }, changes: object) => ({
  ...base,
  spec: { ...base.spec, ...changes },
});

describe('defaults', () => {
  it('are those of the method', () => {
    const { spec } = parseResource(build, 'words.yaml');
    expect(spec).toMatchObject({
      probe: { samples: 512, maxLength: 512, pooling: 'mean', skipFirst: false, seed: 42, shards: 1 },
      similarity: { metric: 'linearCKA' },
      sharing: 'nearest',
      engine: { provider: 'cpu', precision: 'float32', threads: 2 },
      suspend: false,
    });
    expect(wayOf(spec as EmulatorBuildSpec)).toEqual({
      strategy: 'crash',
      layers: build.spec.layers,
      transferLayers: { count: 4 },
    });
    expect(parseResource(tune, 'words.yaml').spec).toMatchObject({
      adapter: { type: 'layers' },
      training: {
        steps: 120,
        batchSize: 16,
        learningRate: '1e-4',
        schedule: 'cosine',
        weightDecay: '0',
        betas: ['0.9', '0.999'],
        clipNorm: '1.0',
      },
    });
    expect(parseResource(plug, 'words.yaml').spec).toMatchObject({
      coefficient: '1.0',
      output: { save: 'model' },
    });
  });

  it.each([
    { provider: 'webgpu', precision: 'float16' },
    { provider: 'cuda', precision: 'float16' },
    { provider: 'cuda', precision: 'bfloat16' },
  ])('take $precision of $provider', (engine) => {
    expect(parseResource(withSpec(build, { engine }), 'words.yaml').spec).toHaveProperty('engine', {
      ...engine,
      threads: 2,
    });
  });

  it('leave a list of transfer layers alone', () => {
    const { spec } = parseResource(withSpec(build, { transferLayers: { layers: [0, 5] } }), 'words.yaml');
    expect(spec).toHaveProperty('transferLayers', { layers: [0, 5] });
  });

  it('add no placement, and take no transfer layer for an answer', () => {
    for (const transferLayers of [{ count: 0 }, { count: 2 }, { count: 2, placement: 'ends' }])
      expect(parseResource(withSpec(build, { transferLayers }), 'words.yaml').spec).toHaveProperty(
        'transferLayers',
        transferLayers,
      );
  });

  it('give an empty gate the tolerance 0', () => {
    const gated = withSpec(plug, { gates: { plugInAboveFullZeroShot: {} }, evaluation: { tasks: [task] } });
    expect(parseResource(gated, 'words.yaml').spec).toHaveProperty('gates', {
      plugInAboveFullZeroShot: { tolerance: '0' },
    });
  });
});

it('accepts what a cluster adds, and does not read a status', () => {
  const metadata = { name: 'words', uid: 'u', generation: 3, managedFields: [], labels: { a: 'b' } };
  const resource = parseResource({ ...build, metadata, status: { phase: 'Complete' } }, 'words.yaml');
  expect(resource.metadata).toEqual(metadata);
  expect(resource).not.toHaveProperty('status');
});

describe('a wrong manifest', () => {
  it.each<[string, unknown, string]>([
    ['no mapping', 'text', 'must be a mapping with apiVersion'],
    ['no kind', { metadata: {} }, 'kind: is missing'],
    ['a near kind', { ...build, kind: 'EmulatorBuilds' }, 'did you mean EmulatorBuild?'],
    ['a foreign version', { ...build, apiVersion: 'v1' }, 'apiVersion: must be offsite-tuning.dev/v1alpha1'],
    ['a missing name', { ...build, metadata: {} }, '(no name): metadata.name: is missing'],
    ['a long name', { ...build, metadata: { name: 'a'.repeat(41) } }, 'metadata.name: must have at most 40'],
    ['a name with a dot', { ...build, metadata: { name: 'a.b' } }, 'metadata.name: must be lower-case'],
    [
      'a leak of no rows',
      withSpec(build, { evaluation: { limit: 0, leak: true } }),
      'spec.evaluation.limit: must be 2 to 10000 where leak is true',
    ],
    ['a missing field', withSpec(build, { output: undefined }), 'spec.output: is missing'],
    [
      'halves of a CPU',
      withSpec(build, { engine: { precision: 'bfloat16' } }),
      'spec.engine.precision: must be one that the provider has: float32; with webgpu also float16; with cuda also float16 and bfloat16',
    ],
    [
      'halves that webgpu has not',
      withSpec(build, { engine: { provider: 'webgpu', precision: 'bfloat16' } }),
      'spec.engine.precision: must be one that the provider has',
    ],
    [
      'a precision that nobody has',
      withSpec(build, { engine: { provider: 'cuda', precision: 'float8' } }),
      'spec.engine.precision: must be',
    ],
    [
      'no number of layers',
      withSpec(build, { layers: undefined }),
      'spec.layers: must say how many layers are kept, for every strategy but none, which removes no layer',
    ],
    [
      'one layer for sleb',
      withSpec(build, { strategy: 'sleb', layers: 1, transferLayers: { count: 1 } }),
      'spec.layers: must be at least 2 for strategy sleb, which keeps the first and the last layer',
    ],
    [
      'a number of layers for all',
      withSpec(build, { strategy: 'none' }),
      'spec.layers: must say how many layers are kept, for every strategy but none, which removes no layer',
    ],
    [
      'an unknown field',
      withSpec(build, { stratgy: 'crash' }),
      'spec.stratgy: there is no such field; did you mean strategy?',
    ],
    [
      'a number in quotes',
      withSpec(build, { layers: '24' }),
      'spec.layers: must be a whole number, without quotes',
    ],
    ['a fraction', withSpec(build, { layers: 2.5 }), 'spec.layers: must be a whole number'],
    [
      'a bare number',
      withSpec(tune, { training: { steps: 1, learningRate: 0.0001 } }),
      'learningRate: must be a string: write "0.0001" in quotes',
    ],
    [
      'a rate of 0',
      withSpec(tune, { training: { steps: 1, learningRate: '0' } }),
      'learningRate: must be a number above 0',
    ],
    [
      'a beta of 1',
      withSpec(tune, { training: { steps: 1, betas: ['0.9', '1'] } }),
      'betas[1]: must be a number 0 or more and below 1',
    ],
    [
      'steps and epochs',
      withSpec(tune, { training: { steps: 1, epochs: 1 } }),
      'spec.training: must have either steps or epochs',
    ],
    [
      'neither steps nor epochs',
      withSpec(tune, { training: {} }),
      'spec.training: must have either steps or epochs',
    ],
    [
      'a large micro-batch',
      withSpec(tune, { training: { steps: 1, microBatchSize: 17 } }),
      'microBatchSize: must be at most batchSize',
    ],
    [
      'an adapter that there is not',
      withSpec(tune, { adapter: { type: 'prefix' } }),
      'spec.adapter.type: must be layers, lora, bottleneck or bitfit',
    ],
    [
      "a rank for the layers' own weights",
      withSpec(tune, { adapter: { rank: 8 } }),
      'spec.adapter: has rank, alpha, targetModules and dropout for type lora only',
    ],
    [
      'dropout without factors',
      withSpec(tune, { adapter: { type: 'bottleneck', dropout: '0.1' } }),
      'spec.adapter: has rank, alpha, targetModules and dropout for type lora only',
    ],
    [
      'a dropout of everything',
      withSpec(tune, { adapter: { type: 'lora', dropout: '1' } }),
      'spec.adapter.dropout: must be a number 0 or more and below 1, in quotes',
    ],
    [
      'a size without modules',
      withSpec(tune, { adapter: { type: 'lora', size: 8 } }),
      'spec.adapter: has size for type bottleneck only',
    ],
    [
      'a target module with its path',
      withSpec(tune, { adapter: { type: 'lora', targetModules: ['self_attn.q_proj'] } }),
      "spec.adapter.targetModules[0]: must be the last part of a linear map's name",
    ],
    [
      'too many transfer layers',
      withSpec(build, { layers: 3 }),
      'spec.transferLayers: must name no more layers',
    ],
    [
      'a score of factors',
      withSpec(build, { compression: { type: 'lowRank', score: 'flap' } }),
      'spec.compression: has score and refit for type width only',
    ],
    [
      'no refit of merged layers',
      withSpec(build, { compression: { type: 'laco', refit: false } }),
      'spec.compression: has score and refit for type width only',
    ],
    [
      'components of narrower layers',
      withSpec(build, { compression: { type: 'width', select: 'sigma' } }),
      'spec.compression: has ratios and select for type lowRank only',
    ],
    [
      'a ratio of merged layers',
      withSpec(build, { compression: { type: 'laco', ratio: '0.5' } }),
      'spec.compression.ratio: is only for type lowRank or width',
    ],
    [
      'lambda of another score',
      withSpec(build, { compression: { type: 'width', score: 'taylor', lambda: '1' } }),
      'spec.compression.lambda: has lambda for select: gradient or score: gradient only',
    ],
    [
      'a placement of listed layers',
      withSpec(build, { transferLayers: { layers: [1], placement: 'top' } }),
      'spec.transferLayers.placement: is only for a count above 0',
    ],
    [
      'a placement of nothing',
      withSpec(build, { transferLayers: { count: 0, placement: 'ends' } }),
      'spec.transferLayers.placement: is only for a count above 0',
    ],
    [
      'a transfer layer twice',
      withSpec(build, { transferLayers: { layers: [1, 1] } }),
      'transferLayers.layers: must not name an entry twice',
    ],
    [
      'count and layers',
      withSpec(build, { transferLayers: { count: 1, layers: [1] } }),
      'must have either count',
    ],
    [
      'a threshold for CKA',
      withSpec(build, { similarity: { threshold: '2' } }),
      'threshold: is only for metric rbfCKA',
    ],
    [
      'a bare path',
      withSpec(build, { model: { uri: '/models' } }),
      'spec.model.uri: must be pvc://CLAIM/PATH',
    ],
    [
      'a path out of its claim',
      withSpec(build, { output: { uri: 'pvc://a/../b' } }),
      'spec.output.uri: must not leave its claim',
    ],
    [
      'a registry to read from',
      withSpec(build, { model: { uri: 'oci://registry.example.com/model:1' } }),
      'oci:// is not supported yet',
    ],
    [
      'a registry to write to',
      withSpec(build, { output: { uri: 'oci://registry.example.com/words' } }),
      'oci:// is not supported yet',
    ],
    [
      'a short digest',
      withSpec(build, { model: { uri: 'hf://a/b', digest: 'sha256:12' } }),
      'spec.model.digest: must be "sha256:"',
    ],
    [
      'a bundle without digest',
      withSpec(tune, { emulator: { uri: 'pvc://a/b' } }),
      'spec.emulator.digest: must be given with uri',
    ],
    [
      'pairs of what are no pairs',
      withSpec(tune, { objective: { type: 'dpo' } }),
      'spec.data.format: must be preference for spec.objective.type dpo, orpo and simpo',
    ],
    [
      'canaries among pairs',
      withSpec(tune, { data: pairs, objective: { type: 'orpo' }, audit: { canaries: {} } }),
      'spec.audit.canaries: are rows of one answer, for spec.objective.type sft only',
    ],
    [
      'canaries among more others than could be scored',
      withSpec(tune, { audit: { canaries: { count: 1000, candidates: 65535 } } }),
      'spec.audit.canaries.candidates: must be so few that count x (candidates + 1) is at most 262144',
    ],
    [
      'a setting of another objective',
      withSpec(tune, { data: pairs, objective: { type: 'orpo', gamma: '1' } }),
      'spec.objective.gamma: is only for type simpo',
    ],
    [
      'a penalty for pairs',
      withSpec(tune, { data: pairs, objective: { type: 'dpo', l1: '1' } }),
      'spec.objective.l1: is only for type sft',
    ],
    [
      'smoothed labels of a hinge',
      withSpec(tune, { data: pairs, objective: { type: 'dpo', loss: 'hinge', labelSmoothing: '0.1' } }),
      'spec.objective.labelSmoothing: is only for loss sigmoid',
    ],
    [
      'half of the labels smoothed',
      withSpec(tune, { data: pairs, objective: { type: 'dpo', labelSmoothing: '0.5' } }),
      'spec.objective.labelSmoothing: must be a number 0 or more and below 0.5',
    ],
    ['a bundle from nowhere', withSpec(tune, { emulator: {} }), 'spec.emulator: must have either ref'],
    [
      'analyses of nothing',
      withSpec(plug, { analysis: { interpolation: {} } }),
      'spec.analysis: needs spec.evaluation.tasks',
    ],
    [
      'analyses that ask for nothing',
      withSpec(plug, { evaluation: { tasks: [task] }, analysis: { limit: 8 } }),
      'spec.analysis: must ask for interpolation, layerImportance or both',
    ],
    [
      'a task that is not evaluated',
      withSpec(plug, { evaluation: { tasks: [task] }, analysis: { layerImportance: {}, tasks: ['other'] } }),
      'spec.analysis.tasks: must be names of tasks',
    ],
    [
      'a part of an adapter that is released whole',
      withSpec(plug, { coefficient: '0.30', output: { uri: 'file:out', save: 'adapter' } }),
      'spec.coefficient: must be 1 where spec.output.save is adapter',
    ],
    [
      'a coefficient that is far away',
      withSpec(plug, {
        evaluation: { tasks: [task] },
        analysis: { interpolation: { coefficients: ['0', '11'] } },
      }),
      'spec.analysis.interpolation.coefficients[1]: must be a number from -10 to 10',
    ],
    ['gates on nothing', withSpec(plug, { gates: {} }), 'spec.gates: need spec.evaluation.tasks'],
    [
      'an object that is no number, in a field of which a rule counts',
      withSpec(tune, { training: { steps: 3, batchSize: { toString: 1, valueOf: 1 } } }),
      'spec.training.batchSize: ',
    ],
    [
      'gates by pair_acc alone',
      withSpec(plug, {
        gates: { plugInAboveFullZeroShot: {} },
        evaluation: { tasks: [{ ...task, format: 'preference', metric: 'pair_acc' }] },
      }),
      'spec.gates: need a task of another metric than pair_acc',
    ],
    [
      'accuracy of text',
      withSpec(plug, { evaluation: { tasks: [{ ...task, format: 'text', metric: 'acc' }] } }),
      'spec.evaluation.tasks[0].metric: must be acc or acc_norm for',
    ],
    [
      'accuracy of WebQuestions',
      withSpec(plug, { evaluation: { tasks: [{ ...task, format: 'webquestions', metric: 'acc' }] } }),
      'spec.evaluation.tasks[0].metric: must be acc or acc_norm for questions with choices, exact_match for webquestions',
    ],
    [
      'exact match of a choice',
      withSpec(plug, { evaluation: { tasks: [{ ...task, format: 'arc', metric: 'exact_match' }] } }),
      'spec.evaluation.tasks[0].metric: must be acc or acc_norm for',
    ],
    [
      'a task twice',
      withSpec(plug, { evaluation: { tasks: [task, task] } }),
      'spec.evaluation.tasks: must not have two entries of the same name',
    ],
  ])('%s', (_, manifest, message) => {
    const found = problems(manifest);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
    expect(found[0]).toMatch(/^words\.yaml: /);
  });

  it('is told all its problems at once, with kind, name and field', () => {
    const found = problems(
      withSpec(tune, { emulator: {}, sedd: 1, training: { epochs: 0, clipNorm: 1, shedule: 'x' } }),
    );
    expect(found).toEqual([
      expect.stringMatching(/^words.yaml: OffsiteTune words: spec\.emulator: /),
      expect.stringMatching(/spec\.training\.epochs: must be at least 1$/),
      expect.stringMatching(/spec\.training\.clipNorm: must be a string: write "1" in quotes$/),
      expect.stringMatching(/spec\.training\.shedule: .*did you mean schedule\?$/),
      expect.stringMatching(/spec\.sedd: there is no such field/),
    ]);
  });
});
