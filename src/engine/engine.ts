// The engine that runs graphs: cached onnxruntime sessions, on the CPU or a GPU, which can be cancelled.
import type * as Ort from 'onnxruntime-node';
import { cancelled, engineUnavailable } from '../api/index.ts';
import { GraphBuilder, rewrite } from '../graph/index.ts';
import { silence } from './silence.ts';
import { webgpuReplacements } from './webgpu.ts';

/** A tensor of the host; `data` has product(shape) elements, row-major. */
export interface Tensor {
  readonly dtype: 'float32' | 'float64' | 'int64' | 'int32';
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array;
}

export interface EngineOptions {
  provider: 'cpu' | 'cuda' | 'webgpu';
  /** Threads of one operator; equal threads give equal digests. */
  threads: number;
  /** One int32 that becomes 1 when the stage is to stop. */
  cancel?: SharedArrayBuffer | undefined;
  /** Where each session's trace goes (onnxruntime's profile, written at `dispose`): how its path begins. */
  trace?: string | undefined;
}

/** A graph made ready to run. */
export interface Session {
  /**
   * Runs the graph once. `fetches`, where given, are filled in place; other outputs are new.
   * @throws OffsiteError Cancelled when the stage is to stop
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches?: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>>;
}

/** How many sessions stay ready: an emulator's layers may each have a shape of their own, and three graphs when they train. */
const sessionLimit = 96;
/**
 * How many of them keep the memory of their runs for the next one, which saves some 4 % of the time; a stage uses few graphs and few
 * batch shapes, but for layers of shapes of their own: those beyond give it back, so that memory is bounded by these and one run.
 */
const keepingLimit = 4;

/** onnxruntime sessions by key. A run blocks this thread, so it belongs on the compute thread. */
export class Engine {
  readonly #ort: typeof Ort;
  readonly #options: EngineOptions;
  readonly #cancel: Int32Array | undefined;
  readonly #sessions = new Map<string, Promise<Ort.InferenceSession>>();
  /** The keys of those that keep their runs' memory. */
  readonly #keeping = new Set<string>();

  private constructor(ort: typeof Ort, options: EngineOptions) {
    this.#ort = ort;
    this.#options = options;
    this.#cancel = options.cancel && new Int32Array(options.cancel);
  }

  /** @throws OffsiteError EngineUnavailable when the library cannot be loaded or lacks the provider */
  static async create(options: EngineOptions): Promise<Engine> {
    silence();
    let ort: typeof Ort;
    try {
      ort = (await import('onnxruntime-node')) as typeof Ort;
    } catch (error) {
      throw engineUnavailable(
        `onnxruntime-node cannot be loaded: ${(error as Error).message.split('\n')[0]}`,
      );
    }
    const names = ort.listSupportedBackends().map((backend) => backend.name);
    if (!names.includes(options.provider)) {
      throw engineUnavailable(
        `spec.engine.provider: this onnxruntime has no ${options.provider} (it has ${names.join(', ')}); use the image that has it`,
      );
    }
    const engine = new Engine(ort, options);
    // A driver that is missing is told before anything is read.
    if (options.provider !== 'cpu') await engine.session('trial', trial);
    return engine;
  }

  /** True once the stage was asked to stop. */
  get isCancelled(): boolean {
    return this.#cancel !== undefined && Atomics.load(this.#cancel, 0) !== 0;
  }

  /** @throws OffsiteError Cancelled once the stage was asked to stop */
  throwIfCancelled(): void {
    if (this.isCancelled) throw cancelled('stopped on request');
  }

  /** The session of a graph, built when `key` is new; the key names the graph and all its shapes. */
  async session(key: string, build: () => GraphBuilder): Promise<Session> {
    let pending = this.#sessions.get(key);
    if (pending === undefined) {
      const keeps = this.#keeping.size < keepingLimit;
      if (keeps) this.#keeping.add(key);
      pending = this.#create(build(), keeps);
      this.#evict();
    } else {
      this.#sessions.delete(key);
    }
    this.#sessions.set(key, pending);
    const session = await pending;
    return { run: (feeds, fetches) => this.#run(session, feeds, fetches) };
  }

  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const pending of sessions) {
      const session = await pending;
      if (this.#options.trace !== undefined) session.endProfiling();
      await session.release();
    }
  }

  async #create(graph: GraphBuilder, keepsMemory: boolean): Promise<Ort.InferenceSession> {
    const { provider, threads, trace } = this.#options;
    const runnable = provider === 'webgpu' ? rewrite(graph, webgpuReplacements) : graph;
    try {
      return await this.#ort.InferenceSession.create(runnable.serialize(), {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        enableCpuMemArena: keepsMemory,
        // It warns of each shape that it leaves to the CPU.
        ...(provider === 'webgpu' && { logSeverityLevel: 3 }),
        ...(trace !== undefined && { enableProfiling: true, profileFilePrefix: trace }),
        // Each session has threads of its own: those that idle must not take the cores of the next session's run.
        extra: { session: { force_spinning_stop: '1' } },
      });
    } catch (error) {
      if (provider === 'cpu') throw error;
      throw engineUnavailable(`provider ${provider} cannot start: ${saidBy(error)}${needs[provider]}`);
    }
  }

  #evict(): void {
    if (this.#sessions.size < sessionLimit) return;
    const [oldest] = this.#sessions;
    if (oldest === undefined) return;
    this.#sessions.delete(oldest[0]);
    this.#keeping.delete(oldest[0]);
    void oldest[1].then((session) => session.release());
  }

  async #run(
    session: Ort.InferenceSession,
    feeds: Readonly<Record<string, Tensor>>,
    fetches: Readonly<Record<string, Tensor>> = {},
  ): Promise<Record<string, Tensor>> {
    this.throwIfCancelled();
    const given = Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => [name, this.#wrap(tensor)]),
    );
    const wanted = Object.fromEntries(
      session.outputNames.map((name) => [
        name,
        fetches[name] === undefined ? null : this.#wrap(fetches[name]),
      ]),
    );
    const outputs = await session.run(given, wanted);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, tensor]) => [
        name,
        { dtype: tensor.type as Tensor['dtype'], shape: tensor.dims, data: tensor.data as Tensor['data'] },
      ]),
    );
  }

  #wrap({ dtype, data, shape }: Tensor): Ort.Tensor {
    return new this.#ort.Tensor(dtype as 'float32', data as Float32Array, shape);
  }
}

/** One product, as a provider's first graph. */
function trial(): GraphBuilder {
  const g = new GraphBuilder();
  const x = g.input('x', 'float32', [1, 1]);
  g.output('y', g.matmul(x, x));
  return g;
}

/** What the library says without its own source's places and conditions: what a driver answered stands last. */
const saidBy = (error: unknown): string =>
  ((error as Error).message.split('\n')[0] as string).replace(/^\/\S+:\d+ .* was false\. /, '');

/** What a provider's own words leave out. */
const needs = {
  cuda: '',
  webgpu: '; it needs a GPU whose driver has Vulkan, and libvulkan.so.1',
} as const;
