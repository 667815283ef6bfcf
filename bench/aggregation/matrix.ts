// Each method under each attack: attackers' adapters are made of the honest ones, and pass or do not pass the door as any would.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { OffsiteError } from '../../src/api/index.ts';
import { fileDigest, sealArtifact } from '../../src/artifact/index.ts';
import { encodeFloats, writeSafetensors } from '../../src/checkpoint/index.ts';
import { Random } from '../../src/data/index.ts';
import { openBundle } from '../../src/emulator/index.ts';
import { Engine } from '../../src/engine/index.ts';
import { loadTask } from '../../src/evaluation/index.ts';
import { type Overlay, openModel } from '../../src/model/index.ts';
import { type Adapter, adapterFile, openAdapter } from '../../src/plugin/adapter.ts';
import { type Aggregated, aggregateAdapters, checkParties, type Party } from '../../src/plugin/aggregate.ts';
import { mergedTensors, storedFor } from '../../src/plugin/merge.ts';
import { type Attack, attacks } from './attacks.ts';
import { atTheDoor, type Finding, isKept, keep, readFindings, untouched } from './findings.ts';
import {
  bundleDirectory,
  flippedParties,
  honestParties,
  modelDirectory,
  otherParties,
  scratch,
  statesFile,
  testFile,
} from './parties.ts';
import { attackers, type Compared, course, methods, parties, skewed, testRows } from './settings.ts';
import { UpperLayers } from './upper-layers.ts';

/**
 * Adds every cell that is not kept yet.
 * @param only attacks' names; all when absent
 * @param by what begins the names of the methods; all when absent
 */
export async function fillMatrix(only?: readonly string[], by: readonly string[] = ['']): Promise<void> {
  const directories = honestParties();
  const engine = await Engine.create({ provider: 'cpu', threads: 1 });
  const model = openModel(modelDirectory);
  const bundle = openBundle(bundleDirectory);
  const open = (directory: string) =>
    openAdapter(directory, { model, emulator: bundle.artifact.digest, bundle });
  const upper = new UpperLayers(engine, model, Math.min(...bundle.plan.transferLayers));
  const task = await loadTask(model, engine, {
    ...{ name: 'words', path: testFile, format: 'multipleChoice', limit: testRows },
    ...{ maxLength: course.maxLength, memory: 2 ** 32 },
  });
  await upper.prepare(task, statesFile);
  const honest = directories.map(open);
  const changes = new Flat(honest[0]!, model);

  const measured = async (overlay: Overlay) => {
    const { scores, loss } = await upper.measure(task, overlay);
    const rows = scores.values.join('');
    return { rows, loss: Number.isFinite(loss) ? Number(loss.toFixed(4)) : null };
  };

  const cell = async (
    attack: string,
    { name: method, aggregation, weight = '1' }: Compared,
    sent: readonly Sent[],
  ): Promise<Finding> => {
    try {
      const taking = sent
        .map(({ adapter, directory }): Party => ({ adapter, directory, weight }))
        .sort((a, b) => (a.adapter.digest < b.adapter.digest ? -1 : 1));
      const aggregated = aggregateAdapters(taking, {
        ...{ model, bundle, aggregation, asAdapter: false, directory: join(scratch, 'aggregate') },
        beforeEach: () => {},
      });
      try {
        const aggregate = digestOf(aggregated);
        const same = readFindings().find((found) => found.aggregate === aggregate);
        const said = same ?? (await measured(mergedTensors(model, aggregated.adapter, 1)));
        const verdictOf = new Map(aggregated.parties.map((party) => [party.digest, party]));
        const verdicts = sent.map(({ adapter }) => verdictOf.get(adapter.digest)!);
        return {
          ...{ attack, method, aggregate, rows: said.rows, loss: said.loss },
          taken: verdicts.map(({ taken }) => taken),
          layers: verdicts[0]!.taken + verdicts[0]!.leftOut,
          norm: aggregated.aggregate.norm,
        };
      } finally {
        aggregated.close();
      }
    } catch (error) {
      if (!(error instanceof OffsiteError)) throw error;
      return refusal(attack, method, error);
    }
  };

  /** One row of the matrix: all methods on the same adapters, which are made where a cell of it is left. */
  const row = async (attack: string, make: () => readonly Sent[]) => {
    const wanted = methods.filter(({ name }) => by.some((start) => name.startsWith(start)));
    const left = wanted.filter(({ name }) => !isKept(attack, name));
    if (left.length === 0 || isKept(attack, atTheDoor)) return;
    const sent = takenOrRefused(attack, make, { model, bundle });
    for (const method of sent === undefined ? [] : left) {
      const start = performance.now();
      const found = await cell(attack, method, sent!);
      keep(found);
      const right = [...found.rows].filter((each) => each === '1').length;
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`${attack}, ${method.name}: ${found.refused ?? right} (${seconds} s)`);
    }
    for (const { adapter } of sent ?? []) if (!honest.includes(adapter)) adapter.close();
    rmSync(scratch, { recursive: true, force: true });
  };

  const benign = honest.slice(0, parties - attackers);
  const benignSent = benign.map((adapter, i): Sent => ({ adapter, directory: directories[i]! }));
  const opened = (directories: readonly string[]) =>
    directories.map((directory): Sent => ({ adapter: open(directory), directory }));
  const attackersOf = (attack: Attack): Sent[] => {
    if (attack.name === 'none')
      return honest
        .slice(-attackers)
        .map((adapter, i) => ({ adapter, directory: directories[parties - attackers + i]! }));
    if (attack.flipped) return opened(flippedParties());
    const known = benign.map((adapter) => changes.of(adapter));
    return honest.slice(-attackers).map((adapter, i) => {
      const own = changes.of(adapter);
      const made = attack.make({ honest: known, own }, new Random(1, i));
      const change = attack.together ? made.map((value) => value * (1 + i * 1e-6)) : made;
      return opened([
        writeAdapter(change, changes, adapter, `${attack.name}-${i}`, bundle.artifact.digest),
      ])[0]!;
    });
  };
  try {
    if (!isKept('none', untouched)) {
      const found = await measured({ has: () => false, get: () => undefined });
      keep({ attack: 'none', method: untouched, ...found, taken: [], layers: 0, norm: '0' });
    }
    const rows = new Map<string, () => Sent[]>([
      ...attacks.map((attack) => [attack.name, () => [...benignSent, ...attackersOf(attack)]] as const),
      [skewed, () => [...benignSent, ...opened(otherParties())]],
    ]);
    for (const name of only ?? rows.keys()) await row(name, rows.get(name)!);
  } finally {
    for (const one of [...honest, bundle, model]) one.close();
    await engine.dispose();
  }
}

/** What is sent to every method; undefined, and kept, where an adapter is refused before any method sees it. */
function takenOrRefused(
  attack: string,
  make: () => readonly Sent[],
  sides: Parameters<typeof checkParties>[1],
): readonly Sent[] | undefined {
  try {
    const sent = make();
    checkParties(
      sent.map((each) => ({ ...each, weight: '1' })),
      sides,
    );
    return sent;
  } catch (error) {
    if (!(error instanceof OffsiteError)) throw error;
    keep(refusal(attack, atTheDoor, error));
    console.log(`${attack}: ${error.message}`);
    return undefined;
  }
}

/** Of the tensors of what came of all. */
function digestOf(aggregated: Aggregated): string {
  const copied = join(scratch, 'copied.safetensors');
  aggregated.copy(copied);
  const digest = fileDigest(copied);
  rmSync(copied);
  return digest;
}

const refusal = (attack: string, method: string, { message }: OffsiteError): Finding => ({
  ...{ attack, method, rows: '', loss: null, taken: [], layers: 0, norm: '' },
  refused: message.replaceAll(`${scratch}/`, ''),
});

interface Sent {
  readonly adapter: Adapter;
  readonly directory: string;
}

/** An adapter's change of all weights as one vector. */
class Flat {
  readonly #model: ReturnType<typeof openModel>;
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly from: number;
  }[];
  readonly #size: number;

  constructor(adapter: Adapter, model: ReturnType<typeof openModel>) {
    let from = 0;
    this.#model = model;
    this.tensors = adapter.changes.map(({ change }) => {
      const tensor = { name: change.name, shape: change.tensors[0]!.shape, from };
      from += tensor.shape.reduce((a, b) => a * b, 1);
      return tensor;
    });
    this.#size = from;
  }

  of(adapter: Adapter): Float32Array {
    const flat = new Float32Array(this.#size);
    for (const { name, from } of this.tensors) {
      const [tuned, base] = [adapter.get(name)!, this.base(name)];
      for (let i = 0; i < tuned.length; i++) flat[from + i] = tuned[i]! - base[i]!;
    }
    return flat;
  }

  base(name: string): Float32Array {
    return this.#model.read(storedFor(this.#model, name)!.name);
  }
}

/** An adapter as a data owner would send it, with the change that an attacker wants. */
function writeAdapter(
  change: Float32Array,
  flat: Flat,
  like: Adapter,
  name: string,
  emulator: string,
): string {
  const directory = join(scratch, name.replaceAll(' ', '-'));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const tensors = like.changes.flatMap(({ change: placed }, i) => {
    const { name: weight, from } = flat.tensors[i]!;
    return placed.tensors.map((tensor) => ({
      ...tensor,
      dtype: 'F32' as const,
      bytes: () =>
        encodeFloats(
          flat.base(weight).map((value, at) => value + change[from + at]!),
          'F32',
        ),
    }));
  });
  writeSafetensors(join(directory, adapterFile), tensors);
  sealArtifact(directory, {
    ...{ kind: 'Adapter', madeFrom: { emulator }, hyperparameters: { adapter: like.type } },
  });
  return directory;
}
