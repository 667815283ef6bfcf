// The engine that runs graphs: cached onnxruntime sessions, on the CPU or a GPU, which can be cancelled.
import type * as Ort from 'onnxruntime-node';
import { cancelled, engineUnavailable } from '../api/index.ts';
import { GraphBuilder, rewrite } from '../graph/index.ts';
import { whyNotLoaded } from './cuda.ts';
import { Residence } from './residence.ts';
import { saidBy } from './said.ts';
import { silence } from './silence.ts';
import { type Held, isOnHost, type Tensor } from './tensor.ts';
import { webgpuReplacements } from './webgpu.ts';

export interface EngineOptions {
  provider: 'cpu' | 'cuda' | 'webgpu';
  /** Threads of one operator; equal threads give equal digests. */
  threads: number;
  /** Bytes that weights may take where graphs run, of a device of its own or of what several blocks at once need; 2 GiB when absent. */
  memory?: number | undefined;
  /** One int32 that becomes 1 when the stage is to stop. */
  cancel?: SharedArrayBuffer | undefined;
  /** Where each session's trace goes (onnxruntime's profile, written at `dispose`): how its path begins. */
  trace?: string | undefined;
}

/** A graph made ready to run. */
export interface Session {
  /**
   * Runs the graph once; its outputs but those that stay. `fetches`, where given, are filled in place, but by a device of its own;
   * other outputs are new.
   * @throws OffsiteError Cancelled when the stage is to stop
   */
  run(
    feeds: Readonly<Record<string, Held | Tensor>>,
    fetches?: Readonly<Record<string, Tensor>>,
  ): Promise<Record<string, Tensor>>;
  /** The same with those that stay; on the CPU `fetches` have room for them too. */
  runHolding(
    feeds: Readonly<Record<string, Held | Tensor>>,
    fetches?: Readonly<Record<string, Tensor>>,
  ): Promise<Outputs>;
}

/** What a run gives, by output name. */
export interface Outputs {
  readonly home: Record<string, Tensor>;
  /** What the graph leaves where it runs, until `Engine.free` is told. */
  readonly held: Record<string, Held>;
}

/** Bytes that have gone to a device of its own, by the names of the inputs, and that came back, by those of the outputs. */
export interface Traffic {
  readonly sent: Map<string, number>;
  readonly received: Map<string, number>;
}

/** A tensor on the device. */
interface Placed extends Held {
  readonly tensor: Ort.Tensor;
}

/** A session with the outputs that stay on the device. */
interface Made {
  readonly session: Ort.InferenceSession;
  readonly stays: ReadonlySet<string>;
}

/** How many sessions stay ready: an emulator's layers may each have a shape of their own, and three graphs when they train. */
const sessionLimit = 96;
/**
 * How many of them keep the memory of their runs for the next one, which saves some 4 % of the time; a stage uses few graphs and few
 * batch shapes, but for layers of shapes of their own: those beyond give it back, so that memory is bounded by these and one run.
 */
const keepingLimit = 4;
const usualMemory = 2 * 2 ** 30;

/** onnxruntime sessions by key. A run blocks this thread, so it belongs on the compute thread. */
export class Engine {
  readonly #ort: typeof Ort;
  readonly #options: EngineOptions;
  readonly #cancel: Int32Array | undefined;
  /** Whether graphs run on a device of their own that keeps what stays there. */
  readonly hasDevice: boolean;
  /** Whether its provider has attention by tiles: `GraphBuilder.groupQueryAttention`. */
  readonly tilesAttention: boolean;
  /** Bytes that weights may take where graphs run. */
  readonly memory: number;
  readonly residence: Residence;
  readonly traffic: Traffic = { sent: new Map(), received: new Map() };
  readonly #sessions = new Map<string, Promise<Made>>();
  /** How many sessions there have been. */
  #made = 0;
  /** The keys of those that keep their runs' memory. */
  readonly #keeping = new Set<string>();

  private constructor(ort: typeof Ort, options: EngineOptions) {
    this.#ort = ort;
    this.#options = options;
    this.#cancel = options.cancel && new Int32Array(options.cancel);
    this.hasDevice = options.provider === 'webgpu';
    this.tilesAttention = options.provider === 'cpu';
    this.memory = options.memory ?? usualMemory;
    this.residence = new Residence(this, this.memory);
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
    const made = await pending;
    return {
      run: async (feeds, fetches) => (await this.#run(made, feeds, fetches)).home,
      runHolding: (feeds, fetches) => this.#run(made, feeds, fetches),
    };
  }

  /** Puts a tensor where graphs run; the host's memory may then be used for another. */
  async hold(tensor: Tensor): Promise<Held> {
    if (!this.hasDevice) return { ...tensor, data: tensor.data.slice() } satisfies Tensor as Held;
    const { y } = (await this.#copying(tensor, 'there')).held;
    return y as Held;
  }

  /** What a tensor holds; on the CPU it is the tensor itself. */
  async read(tensor: Held): Promise<Tensor> {
    if (isOnHost(tensor)) return tensor;
    const { y } = (await this.#copying(tensor, 'home')).home;
    return y as Tensor;
  }

  /** Takes back the memory of a tensor that nobody needs any more. */
  free(tensor: Held): void {
    if (!isOnHost(tensor)) (tensor as Placed).tensor.dispose();
  }

  async dispose(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const pending of sessions) {
      const { session } = await pending;
      if (this.#options.trace !== undefined) session.endProfiling();
      await session.release();
    }
  }

  async #create(graph: GraphBuilder, keepsMemory: boolean): Promise<Made> {
    const { provider, threads, trace } = this.#options;
    const runnable = provider === 'webgpu' ? rewrite(graph, webgpuReplacements) : graph;
    const stays = new Set(graph.outputs.flatMap(({ name, stays }) => (stays ? [name] : [])));
    try {
      const session = await this.#ort.InferenceSession.create(runnable.serialize(), {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        enableCpuMemArena: keepsMemory,
        ...(provider === 'webgpu' && {
          // It warns of each shape that it leaves to the CPU.
          logSeverityLevel: 3,
          preferredOutputLocation: Object.fromEntries(
            graph.outputs.map(({ name }) => [name, stays.has(name) ? 'gpu-buffer' : 'cpu'] as const),
          ),
        }),
        // A name of its own: the library tells sessions by the millisecond, and two have been made in one.
        ...(trace !== undefined && { enableProfiling: true, profileFilePrefix: `${trace}${this.#made++}` }),
        // Each session has threads of its own: those that idle must not take the cores of the next session's run.
        extra: { session: { force_spinning_stop: '1' } },
      });
      return { session, stays };
    } catch (error) {
      if (provider === 'cpu') throw error;
      const reason = provider === 'cuda' ? whyNotLoaded() : undefined;
      const said = [saidBy(error), ...(reason === undefined ? [] : [reason])].join(': ');
      throw engineUnavailable(`provider ${provider} cannot start: ${said}${needs[provider]}`);
    }
  }

  #evict(): void {
    if (this.#sessions.size < sessionLimit) return;
    const [oldest] = this.#sessions;
    if (oldest === undefined) return;
    this.#sessions.delete(oldest[0]);
    this.#keeping.delete(oldest[0]);
    void oldest[1].then(({ session }) => session.release());
  }

  async #run(
    { session, stays }: Made,
    feeds: Readonly<Record<string, Held | Tensor>>,
    fetches: Readonly<Record<string, Tensor>> = {},
  ): Promise<Outputs> {
    this.throwIfCancelled();
    const given = Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => [name, this.#given(name, tensor)]),
    );
    const wanted = Object.fromEntries(
      session.outputNames.map((name) => [
        name,
        fetches[name] === undefined ? null : this.#wrap(fetches[name]),
      ]),
    );
    const home: Record<string, Tensor> = {};
    const held: Record<string, Held> = {};
    for (const [name, tensor] of Object.entries(await session.run(given, wanted))) {
      const form = { dtype: tensor.type as Tensor['dtype'], shape: tensor.dims };
      if (tensor.location === 'gpu-buffer') {
        held[name] = { ...form, tensor } satisfies Placed as Held;
        continue;
      }
      // What was filled in place is the caller's own: the binding makes a tensor with memory of its own of it again. With a device
      // nothing is filled.
      const filled = this.hasDevice ? undefined : fetches[name];
      const found = filled ?? { ...form, data: tensor.data as Tensor['data'] };
      if (stays.has(name)) held[name] = found;
      else home[name] = found;
      if (this.hasDevice) count(this.traffic.received, name, found);
    }
    return { home, held };
  }

  #given(name: string, tensor: Held): Ort.Tensor {
    if (!isOnHost(tensor)) return (tensor as Placed).tensor;
    if (this.hasDevice) count(this.traffic.sent, name, tensor);
    return this.#wrap(tensor);
  }

  #wrap({ dtype, data, shape }: Tensor): Ort.Tensor {
    return new this.#ort.Tensor(dtype as 'float32', data as Float32Array, shape);
  }

  /** A copy, there or at home: nothing else brings a tensor from one to the other. */
  async #copying(tensor: Held, where: 'there' | 'home'): Promise<Outputs> {
    const { dtype, shape } = tensor;
    const session = await this.session(`copy ${where} ${dtype} ${shape}`, () => {
      const g = new GraphBuilder();
      const x = g.input('x', dtype, shape);
      g.output('y', g.apply('Identity', [x], shape), { stays: where === 'there' });
      return g;
    });
    return await session.runHolding({ x: tensor });
  }
}

const count = (bytes: Map<string, number>, name: string, { data }: Tensor) =>
  bytes.set(name, (bytes.get(name) ?? 0) + data.byteLength);

/** One product, as a provider's first graph. */
function trial(): GraphBuilder {
  const g = new GraphBuilder();
  const x = g.input('x', 'float32', [1, 1]);
  g.output('y', g.matmul(x, x));
  return g;
}

/** What a provider's own words leave out. */
const needs = {
  cuda: '; it needs a GPU of NVIDIA, and its driver',
  webgpu: '; it needs a GPU whose driver has Vulkan, and libvulkan.so.1',
} as const;
