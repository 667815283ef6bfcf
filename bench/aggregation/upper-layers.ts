// Cells of a model whose last layers alone differ: what lies below them is computed once, and all cells go on from there.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PackedBatch } from '../../src/data/index.ts';
import type { Engine } from '../../src/engine/index.ts';
import { type Measurement, measure, streamBlocks, type TaskData } from '../../src/evaluation/index.ts';
import {
  Decoder,
  exactBlocks,
  type Model,
  type Overlay,
  type States,
  weightsOf,
} from '../../src/model/index.ts';

const memory = 2 ** 30;

/** A model's layers from one on, which begin with the states of a task's batches below it. */
export class UpperLayers {
  readonly #engine: Engine;
  readonly #model: Model;
  readonly #first: number;
  /** By a batch's tokens, which its copies share. */
  readonly #below = new Map<PackedBatch['ids'], Float32Array>();

  constructor(engine: Engine, model: Model, first: number) {
    this.#engine = engine;
    this.#model = model;
    this.#first = first;
  }

  /** Computes the states below the first layer, or reads those that another run of the same rows has kept there. */
  async prepare({ batches }: TaskData, kept: string): Promise<void> {
    if (!existsSync(kept)) {
      const states = await this.#statesBelow(batches);
      mkdirSync(dirname(kept), { recursive: true });
      writeFileSync(`${kept}.part`, Buffer.concat(states.map(({ buffer }) => new Uint8Array(buffer))));
      renameSync(`${kept}.part`, kept);
    }
    const numbers = new Float32Array(new Uint8Array(readFileSync(kept)).buffer);
    let from = 0;
    for (const { ids } of batches) {
      const end = from + ids.length * this.#model.architecture.hidden;
      this.#below.set(ids, numbers.slice(from, end));
      from = end;
    }
    if (from !== numbers.length) throw new Error(`${kept}: holds states of other rows; remove it`);
  }

  async #statesBelow(batches: readonly PackedBatch[]): Promise<Float32Array<ArrayBuffer>[]> {
    const { architecture } = this.#model;
    const blocks = exactBlocks(architecture, layersFrom(0, this.#first));
    const decoder = new Decoder(this.#engine, architecture, weightsOf(this.#model, { blocks, memory: 0 }));
    const states: Float32Array<ArrayBuffer>[] = [];
    await streamBlocks(decoder, batches, {
      memory,
      atEnd: async (_, hidden) => {
        states.push(Float32Array.from(await decoder.read(hidden)));
      },
      progress: () => {},
    });
    return states;
  }

  /** @param overlay changes of the upper layers alone */
  async measure(task: TaskData, overlay: Overlay): Promise<Measurement> {
    const { architecture } = this.#model;
    const blocks = exactBlocks(architecture, layersFrom(this.#first, architecture.depth));
    const weights = weightsOf(this.#model, { blocks, overlay, memory });
    const decoder = new Above(this.#engine, architecture, weights);
    decoder.below = this.#below;
    return await measure(decoder, task, { memory, stage: 'cell', emit: () => {} });
  }
}

class Above extends Decoder {
  below: ReadonlyMap<PackedBatch['ids'], Float32Array> = new Map();

  override async embed(batch: PackedBatch): Promise<States> {
    return await this.place(this.below.get(batch.ids)!.slice(), batch);
  }
}

const layersFrom = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);
