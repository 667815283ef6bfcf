import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiError, type KubeObject, type ResourceType } from '../../operator/runtime/index.ts';
import { ApiServer, emulatorBuilds, offsiteTunes, plugIns } from '../support/api/api-server.ts';
import {
  absent,
  fieldsOf,
  nameOf,
  type Path,
  schemaOf,
  withField,
  wrongValues,
} from '../support/api/schema.ts';
import { kubectl } from '../support/cluster/kubectl.ts';
import { tinyManifests } from '../support/tiny/index.ts';

let server: ApiServer;
let namespace: string;
beforeAll(async () => {
  server = await ApiServer.start();
  namespace = await server.namespace();
}, 900_000);
afterAll(() => server?.stop());

const manifests = tinyManifests((place) => `pvc://claim/${place}`);
const digest = `sha256:${'0'.repeat(64)}`;
const publicKey = '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n';
const signers = [{ name: 'owner', publicKeyRef: { name: 'owner-key' } }];
const texts = { uri: 'pvc://claim/texts.jsonl', format: 'text' };

/** Strings that break some rule of ours: each is tried in every field that has rules. */
const brokenStrings = [
  '',
  '-1',
  '0',
  '1e9',
  '1,5',
  'banana',
  'Not A Name',
  'file:here',
  'pvc://claim/../other',
  'pvc://claim-/here',
  'pvc://claim/a\u0001b',
  'ftp://there',
  'sha256:0',
  '-a-',
];

const { adapter: _, ...onePlugIn } = manifests.plug.spec as Record<string, unknown>;
const [task] = (onePlugIn['evaluation'] as { tasks: object[] }).tasks;

/** A PlugIn of several adapters, with every field that its method may have. */
const several = {
  ...onePlugIn,
  adapters: [
    { ref: { name: 'tiny' }, weight: '2', signer: 'owner' },
    { ref: { name: 'other' }, signer: 'north' },
    { uri: 'pvc://claim/a', digest, signer: 'south' },
  ],
  signers: [...signers, ...['north', 'south'].map((name) => ({ name, publicKeyRef: { name } }))],
  aggregation: { method: 'lasa', sparsity: '0.3', normBound: '1', signBound: '1', spread: 'mad' },
};

/** A training whose rows are hidden, and which has no work place. */
const privateTune = { ...(manifests.tune.spec as object), privacy: { epsilon: '8' } };
const inStore = { uri: 's3://exchange/adapter' };

/** Halves that a provider has not. */
const precisions: [path: Path, value: unknown, field: string][] = [
  [['spec', 'engine'], { precision: 'float16' }, 'spec.engine.precision'],
  [['spec', 'engine'], { provider: 'webgpu', precision: 'bfloat16' }, 'spec.engine.precision'],
];

/** Combinations of right values that break a rule over several fields: the rule's message, and the field it names. */
const combinations: Record<string, [path: Path, value: unknown, field: string][]> = {
  EmulatorBuild: [
    ...precisions,
    [['spec', 'transferLayers'], { count: 5 }, 'spec.transferLayers'],
    [['spec', 'transferLayers'], { count: 2, layers: [0, 1] }, 'spec.transferLayers'],
    [['spec', 'transferLayers'], {}, 'spec.transferLayers'],
    [['spec', 'transferLayers'], { count: 0, placement: 'top' }, 'spec.transferLayers.placement'],
    [['spec', 'transferLayers'], { layers: [0], placement: 'top' }, 'spec.transferLayers.placement'],
    [['spec', 'similarity'], { threshold: '1.0' }, 'spec.similarity.threshold'],
    [['spec', 'layers'], absent, 'spec.layers'],
    [['spec', 'strategy'], 'none', 'spec.layers'],
    [
      ['spec'],
      { ...manifests.build.spec, strategy: 'sleb', layers: 1, transferLayers: { count: 1 } },
      'spec.layers',
    ],
    [
      ['spec'],
      { ...manifests.build.spec, strategy: 'uniform', auto: { leakAtMost: '0.3', sizeAtMost: '0.5' } },
      'spec.strategy',
    ],
    [['spec', 'auto'], { leakAtMost: '0.3', sizeAtMost: '0.5' }, 'spec.compression'],
    [['spec', 'auto'], { leakAtMost: '0.3', sizeAtMost: '0.5' }, 'spec.layers'],
    [['spec', 'evaluation'], { limit: 0, leak: true }, 'spec.evaluation.limit'],
    [['spec', 'compression'], absent, 'spec.refine'],
    [['spec', 'compression'], { type: 'none' }, 'spec.refine'],
    [['spec', 'compression'], { type: 'laco', ratio: '0.35' }, 'spec.compression.ratio'],
    [['spec', 'compression'], { type: 'lowRank', bits: 8 }, 'spec.compression.bits'],
    [['spec', 'compression'], { type: 'quantize', bits: 5 }, 'spec.compression.bits'],
    [['spec', 'compression'], { type: 'width', ratios: 'loss' }, 'spec.compression'],
    [['spec', 'compression'], { type: 'lowRank', refit: true }, 'spec.compression'],
    [['spec', 'compression'], { type: 'lowRank', lambda: '1' }, 'spec.compression.lambda'],
    [['spec', 'refine'], { type: 'distil', margin: '1' }, 'spec.refine.margin'],
    [['spec', 'refine'], { type: 'distil', lmWeight: '0', kdWeight: '0' }, 'spec.refine'],
    [['spec', 'refine'], { type: 'elevate', lmWeight: '1' }, 'spec.refine.lmWeight'],
    [['spec', 'refine'], { type: 'elevate', kdWeight: '1' }, 'spec.refine.kdWeight'],
    [['spec', 'leakTest', 'tokens'], [3, 2, 1], 'spec.leakTest.tokens'],
    [
      ['spec'],
      { ...manifests.build.spec, evaluation: { limit: 0 }, leakTest: { data: texts, tokens: [1, 2, 3] } },
      'spec.leakTest',
    ],
  ],
  OffsiteTune: [
    ...precisions,
    [['spec', 'emulator'], {}, 'spec.emulator'],
    [['spec', 'emulator'], { ref: { name: 'a' }, uri: 'pvc://claim/a', digest }, 'spec.emulator'],
    [['spec', 'emulator'], { uri: 'pvc://claim/a' }, 'spec.emulator.digest'],
    [['spec', 'adapter'], { rank: 8 }, 'spec.adapter'],
    [['spec', 'adapter'], { type: 'bitfit', targetModules: ['q_proj'] }, 'spec.adapter'],
    [['spec', 'training', 'epochs'], 2, 'spec.training'],
    [['spec', 'training', 'steps'], absent, 'spec.training'],
    [['spec', 'training', 'microBatchSize'], 5, 'spec.training.microBatchSize'],
    [['spec', 'training', 'warmupSteps'], 9, 'spec.training.warmupSteps'],
    [['spec', 'privacy'], { noiseMultiplier: '1.1', epsilon: '8' }, 'spec.privacy'],
    [['spec', 'privacy'], { delta: '1e-5' }, 'spec.privacy'],
    [['spec'], { ...privateTune, output: inStore }, 'spec.work'],
    [['spec'], { ...privateTune, output: inStore, privacy: { noiseMultiplier: '1.1' } }, 'spec.work'],
    [['spec', 'audit'], {}, 'spec.audit'],
    [['spec', 'audit'], { canaries: { candidates: 16384 } }, 'spec.audit.canaries.candidates'],
    [['spec', 'data', 'validation'], absent, 'spec.audit.membership'],
    [['spec', 'objective'], { type: 'dpo' }, 'spec.data.format'],
    [['spec', 'objective'], { type: 'simpo' }, 'spec.audit.canaries'],
    [['spec', 'objective'], { type: 'orpo', beta: '0.1' }, 'spec.objective.beta'],
    [['spec', 'objective'], { type: 'simpo', loss: 'ipo' }, 'spec.objective.loss'],
    [['spec', 'objective'], { labelSmoothing: '0.1' }, 'spec.objective.labelSmoothing'],
    [
      ['spec', 'objective'],
      { type: 'dpo', loss: 'hinge', labelSmoothing: '0.1' },
      'spec.objective.labelSmoothing',
    ],
    [['spec', 'objective'], { type: 'dpo', lambda: '0.1' }, 'spec.objective.lambda'],
    [['spec', 'objective'], { type: 'dpo', gamma: '1' }, 'spec.objective.gamma'],
    [['spec', 'objective'], { type: 'dpo', l1: '0.1' }, 'spec.objective.l1'],
    [['spec', 'start'], {}, 'spec.start'],
    [['spec', 'start'], { uri: 'pvc://claim/a', signer: 'owner' }, 'spec.start.digest'],
    [['spec', 'start', 'signer'], 'nobody', 'spec.start.signer'],
    [['spec', 'emulator', 'signer'], 'nobody', 'spec.emulator.signer'],
    [['spec', 'start'], absent, 'spec.signers'],
    [['spec', 'signers'], absent, 'spec.start.signer'],
    [['spec', 'signers', 0, 'publicKeyRef'], absent, 'spec.signers[0]'],
    [['spec', 'signers', 0, 'publicKey'], publicKey, 'spec.signers[0]'],
    [['spec', 'signers', 0, 'publicKey'], `${publicKey}PRIVATE`, 'spec.signers[0].publicKey'],
  ],
  PlugIn: [
    ...precisions,
    [['spec', 'emulator'], {}, 'spec.emulator'],
    [['spec', 'emulator'], { uri: 'pvc://claim/a' }, 'spec.emulator.digest'],
    [['spec', 'adapter'], {}, 'spec.adapter'],
    [['spec', 'adapter'], { uri: 'pvc://claim/a' }, 'spec.adapter.digest'],
    [['spec', 'evaluation', 'tasks', 0, 'metric'], 'perplexity', 'spec.evaluation.tasks[0].metric'],
    [['spec'], { ...manifests.plug.spec, evaluation: undefined, gates: {} }, 'spec.gates'],
    [
      ['spec'],
      {
        ...manifests.plug.spec,
        gates: { plugInAboveFullZeroShot: {} },
        evaluation: {
          tasks: [
            {
              name: 'pairs',
              data: { uri: 'pvc://claim/pairs.jsonl' },
              format: 'preference',
              metric: 'pair_acc',
            },
          ],
        },
      },
      'spec.gates',
    ],
    [
      ['spec'],
      { ...manifests.plug.spec, evaluation: undefined, analysis: { interpolation: {} } },
      'spec.analysis',
    ],
    [['spec', 'adapter', 'signer'], 'nobody', 'spec.adapter.signer'],
    [['spec', 'emulator', 'signer'], 'nobody', 'spec.emulator.signer'],
    [['spec', 'signers', 1], { name: 'other', publicKeyRef: { name: 'key' } }, 'spec.signers'],
    [['spec', 'signers', 0, 'publicKey'], publicKey, 'spec.signers[0]'],
    [['spec', 'signers', 0, 'publicKey'], `${publicKey}PRIVATE`, 'spec.signers[0].publicKey'],
    [
      ['spec'],
      { ...several, coefficient: '0.5', output: { uri: 'pvc://claim/out', save: 'adapter' } },
      'spec.coefficient',
    ],
    [['spec', 'analysis'], {}, 'spec.analysis'],
    [['spec', 'analysis'], { interpolation: {}, tasks: ['tiny', 'other'] }, 'spec.analysis.tasks'],
    [['spec', 'adapter'], { ref: { name: 'tiny' } }, 'spec.adapter'],
    [['spec', 'adapters'], absent, 'spec.adapter'],
    [['spec', 'aggregation'], absent, 'spec.aggregation'],
    [['spec', 'adapters', 0], { weight: '1' }, 'spec.adapters[0]'],
    [['spec', 'adapters', 0], { uri: 'pvc://claim/a' }, 'spec.adapters[0].digest'],
    [['spec', 'adapters', 0], { ref: { name: 'other' } }, 'spec.adapters'],
    [['spec', 'adapters', 0], { uri: 'pvc://claim/b', digest }, 'spec.adapters'],
    [['spec', 'adapters', 0], { ref: { name: 'third' }, signer: 'north' }, 'spec.adapters'],
    [['spec', 'aggregation'], { method: 'median' }, 'spec.adapters'],
    [['spec', 'adapters'], ['a', 'b'].map((name) => ({ ref: { name }, weight: '0' })), 'spec.adapters'],
    [['spec', 'aggregation'], { method: 'krum' }, 'spec.aggregation.attackers'],
    [['spec', 'aggregation'], { method: 'krum', attackers: 1 }, 'spec.aggregation.attackers'],
    [['spec', 'aggregation'], { method: 'bulyan', attackers: 1 }, 'spec.aggregation.attackers'],
    [['spec', 'aggregation'], { method: 'trimmedMean' }, 'spec.aggregation.trim'],
    [['spec', 'aggregation'], { method: 'trimmedMean', trim: 2 }, 'spec.aggregation.trim'],
    [['spec', 'aggregation'], { method: 'multiKrum', attackers: 0, keep: 4 }, 'spec.aggregation.keep'],
    ...(
      [
        ['attackers', 0],
        ['keep', 1],
        ['trim', 1],
        ['iterations', 3],
        ['clipNorm', '1'],
        ['density', '0.5'],
        ['scale', '1'],
        ['seed', 1],
      ] as const
    ).map(([field, value]): [Path, unknown, string] => [
      ['spec', 'aggregation', field],
      value,
      `spec.aggregation.${field}`,
    ]),
    ...(['sparsity', 'normBound', 'signBound'] as const).map((field): [Path, unknown, string] => [
      ['spec', 'aggregation'],
      { method: 'mean', [field]: '0.5' },
      `spec.aggregation.${field}`,
    ]),
    [['spec', 'aggregation'], { method: 'mean', spread: 'mad' }, 'spec.aggregation.spread'],
    [
      ['spec'],
      {
        ...several,
        evaluation: undefined,
        gates: undefined,
        aggregation: { method: 'mean', leaveOneOut: true },
      },
      'spec.aggregation.leaveOneOut',
    ],
    [
      ['spec'],
      {
        ...several,
        adapters: Array.from({ length: 64 }, (_, i) => ({ ref: { name: `tiny-${i}` } })),
        evaluation: { tasks: Array.from({ length: 5 }, (_, i) => ({ ...task, name: `tiny-${i}` })) },
        aggregation: { method: 'mean', leaveOneOut: true },
      },
      'spec.aggregation.leaveOneOut',
    ],
  ],
};

/** With the fields that a right manifest may also have, so that each can be broken alone. */
const tune = [
  [
    ['training', 'betas'],
    ['0.9', '0.999'],
  ],
  [['adapter'], { type: 'lora', rank: 4, alpha: 8, targetModules: ['q_proj'] }],
  [['data', 'validation'], { uri: 'pvc://claim/validation.jsonl' }],
  [['privacy'], { epsilon: '8', delta: '1e-5', clipNorm: '1.0' }],
  [['objective'], { type: 'sft', l1: '0.1' }],
  [['audit'], { membership: { limit: 10 }, canaries: { count: 4, candidates: 255 } }],
  [['start'], { ref: { kind: 'PlugIn', name: 'earlier' }, signer: 'owner' }],
  [['signers'], signers],
  [['output', 'signingKeyRef'], { name: 'own-key' }],
].reduce<KubeObject>((object, [path, value]) => withField(object, ['spec', ...(path as Path)], value), {
  ...manifests.tune,
});
const plug = [
  [['adapter', 'signer'], 'owner'],
  [['signers'], signers],
].reduce<KubeObject>((object, [path, value]) => withField(object, ['spec', ...(path as Path)], value), {
  ...manifests.plug,
});
const build = [
  ['compression', { type: 'lowRank', ratio: '0.35', select: 'gradient', lambda: '1' }],
  ['refine', { type: 'distil', learningRate: '1e-4', lmWeight: '1', kdWeight: '30' }],
  ['leakTest', { data: texts, tokens: [1, 2, 3], task: { data: { uri: texts.uri }, format: 'text' } }],
].reduce<KubeObject>((object, [field, value]) => withField(object, ['spec', field as string], value), {
  ...manifests.build,
});
/** The same of a build that finds its own way, in which no field stands that it finds. */
const auto = ['strategy', 'layers', 'compression', 'transferLayers'].reduce<KubeObject>(
  (object, field) => withField(object, ['spec', field], absent),
  withField(build, ['spec', 'auto'], { leakAtMost: '0.3', sizeAtMost: '0.5', exactAtMost: '0.3' }),
);
const withWork = (manifest: KubeObject) => withField(manifest, ['spec', 'work'], { uri: 'pvc://claim/work' });

/** A right manifest that has the field. */
const baseOf = (path: Path, right: KubeObject): KubeObject =>
  path[1] === 'auto' ? auto : path[1] === 'adapter' && right.kind === plugIns.kind ? plug : right;

const cases: [type: ResourceType, manifest: KubeObject][] = [
  [emulatorBuilds, withWork(build)],
  [offsiteTunes, withWork(tune)],
  [plugIns, withWork({ ...manifests.plug, spec: several })],
];

/** The API server's refusal; undefined if it accepts. Nothing is stored either way. */
async function refusal(type: ResourceType, object: KubeObject, name = 'tiny'): Promise<ApiError | undefined> {
  const metadata = { ...object.metadata, name, namespace };
  try {
    await server.client.create(type, { ...object, metadata }, { fieldValidation: 'Strict' });
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  await server.client.delete(type, namespace, name);
  return undefined;
}

it('the table of PlugIns names the adapter, and of several the first one that is a reference', async () => {
  const own = await server.namespace();
  const [first, ...others] = several.adapters;
  const specs = { one: manifests.plug.spec, several: { ...several, adapters: [...others.reverse(), first] } };
  for (const [name, spec] of Object.entries(specs))
    await server.client.create(plugIns, {
      ...manifests.plug,
      metadata: { name, namespace: own },
      spec,
    } as KubeObject);
  const rows = kubectl(server.plane.kubeconfig, ['get', 'pi', '-n', own, '-o', 'wide']).split('\n');
  const at = rows[0]!.indexOf('ADAPTER');
  expect(rows.slice(1, 3).map((row) => row.slice(at).split(' ')[0])).toEqual(['tiny', 'other']);
});

it('accepts a build that finds its own way', async () => {
  expect(await refusal(emulatorBuilds, auto)).toBeUndefined();
});

it.each([
  ['its work is kept beside', { work: { uri: 's3://private/work' }, output: inStore }],
  ['its output lies on a claim', {}],
  ['nothing is hidden', { privacy: { epsilon: 'infinity' }, output: inStore }],
  ['no privacy is asked for', { privacy: undefined, output: inStore }],
])('accepts a training with privacy where %s', async (_, changes) => {
  const right = withField({ ...manifests.tune }, ['spec'], { ...privateTune, ...changes });
  expect(await refusal(offsiteTunes, right)).toBeUndefined();
});

describe.each(cases)('$kind', (type, right) => {
  const schema = schemaOf(type.plural);
  const fields = fieldsOf(schema.properties!['spec']!, ['spec']);
  const complaints: string[] = [];

  it('is accepted as the examples write it', async () => {
    expect(await refusal(type, right)).toBeUndefined();
  });

  it.each(fields.map(({ path, schema }) => [nameOf(path), path, schema] as const))(
    '%s: every wrong value is refused with the name of the field',
    async (name, path, schema) => {
      const parent = fields.find((field) => nameOf(field.path) === nameOf(path.slice(0, -1)));
      const required = parent?.schema.required?.includes(path.at(-1) as string) ?? path.length === 1;
      const wrong = wrongValues(schema);
      if (required) wrong.push({ value: absent, breaks: 'required' });
      for (const { value, breaks } of wrong) {
        const error = await refusal(type, withField(baseOf(path, right), path, value));
        expect(error, `${name} with ${breaks} broken was accepted`).toBeDefined();
        complaints.push(error!.message);
        expect(error!.message, breaks).toContain(breaks === 'unknown field' ? `${name}.nonsense` : name);
      }
      if (schema.type === 'string' && schema['x-kubernetes-validations']) {
        for (const value of brokenStrings) {
          const error = await refusal(type, withField(baseOf(path, right), path, value));
          if (!error) continue;
          // an entry, or a signer's name, may be right by itself and break a rule of its list
          expect(error.message, value).toContain(
            name.replace(/\[0\]$|(?<=signers)\[0\]\.name$|(?<=adapters)\[0\]\.signer$/, ''),
          );
          complaints.push(error.message);
        }
      }
    },
  );

  it.each(combinations[type.kind]!)(
    '%j as %j is refused with the name of the field',
    async (path, value, field) => {
      const error = await refusal(type, withField(right, path, value));
      expect(error?.message).toContain(`${field}: `);
      complaints.push(error!.message);
    },
  );

  it.each(['a.b', 'A', 'x'.repeat(41), '-a'])('the name %j is refused', async (name) => {
    const error = await refusal(type, right, name);
    expect(error?.message).toContain('metadata.name');
    complaints.push(error!.message);
  });

  it('every rule of the schema was broken above, and its message said what is right', () => {
    const said = complaints.join('\n');
    const all = [{ path: [] as Path, schema }, ...fields];
    const unsaid = all.flatMap(({ path, schema }) =>
      (schema['x-kubernetes-validations'] ?? [])
        .filter(({ message }) => !said.includes(message))
        .map(({ message }) => `${nameOf(path)}: ${message}`),
    );
    expect(unsaid).toEqual([]);
  });

  it('a stored resource stays as it is when a wrong change is refused, and takes the right one', async () => {
    const object = { ...right, metadata: { name: 'stored', namespace } };
    const stored = await server.client.create<KubeObject>(type, object);
    const wrong = withField({ ...object, metadata: stored.metadata }, ['spec', 'output', 'uri'], 'nonsense');
    await expect(server.client.replace(type, wrong)).rejects.toThrow('spec.output.uri');
    expect(await server.client.get(type, namespace, 'stored')).toEqual(stored);
    const put = withField(wrong, ['spec', 'output', 'uri'], 'pvc://claim/elsewhere');
    const after = await server.client.replace(type, put);
    expect(after.metadata.generation).toBe(2);
  });
});
