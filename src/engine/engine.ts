// The engine that runs graphs: cached onnxruntime sessions, on the CPU or a GPU, which can be cancelled.
import type * as Ort from 'onnxruntime-node';
import { cancelled, engineUnavailable } from '../api/index.ts';
import {
  GraphBuilder,
  type Half,
  inHalf,
  product,
  rewrite,
  type Value,
  withGivenOnce,
} from '../graph/index.ts';
import { freeDeviceMemory, whyNotLoaded } from './cuda.ts';
import { cudaOnCpu, type Way, ways } from './providers.ts';
import { Residence } from './residence.ts';
import { isOutOfMemory, saidBy } from './said.ts';
import { SessionCache } from './session-cache.ts';
import { silence } from './silence.ts';
import { type Held, isOnHost, type Tensor } from './tensor.ts';

export interface EngineOptions {
  provider: 'cpu' | 'cuda' | 'webgpu';
  /** Threads of one operator; equal threads give equal digests. */
  threads: number;
  /** What the products with weights that stay as they are take and give; float32 when absent. */
  precision?: 'float32' | Half | undefined;
  /** Bytes that weights may take where graphs run, of a device of its own or of what several blocks at once need; 2 GiB when absent. */
  memory?: number | undefined;
  /** Bytes that weights may take in sessions that store them; when absent half of what an NVIDIA GPU has free, else `memory`. */
  stored?: number | undefined;
  /** Runs on the CPU as another provider would run: for tests where there is no such device. */
  standsFor?: 'cuda' | undefined;
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

/** Inputs of a graph that are the same in every run: the weights that do not train. */
export interface Frozen {
  /** Names their numbers: other numbers, another name. */
  readonly name: string;
  readonly inputs: ReadonlySet<string>;
  /** The tensors of some of them, as `keptAs` says. */
  read(inputs: ReadonlySet<string>): Readonly<Record<string, Tensor>>;
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

const usualMemory = 2 * 2 ** 30;

/** onnxruntime sessions by key. A run blocks this thread, so it belongs on the compute thread. */
export class Engine {
  readonly #ort: typeof Ort;
  readonly #options: EngineOptions;
  readonly #cancel: Int32Array | undefined;
  readonly #way: Way;
  /** Whether graphs run on a device of their own that keeps what stays there. */
  readonly hasDevice: boolean;
  /** Whether weights that stay as they are are stored in sessions, which then take no more of them. */
  readonly storesWeights: boolean;
  /** Whether its provider has attention by tiles: `GraphBuilder.groupQueryAttention`. */
  readonly tilesAttention: boolean;
  /** Bytes that weights may take where graphs run. */
  readonly memory: number;
  /** Bytes of weights that one graph may take, so that as many blocks are one graph: one block each where that is 0. */
  readonly spanMemory: number;
  readonly residence: Residence;
  readonly traffic: Traffic = { sent: new Map(), received: new Map() };
  readonly #sessions: SessionCache<Made>;
  /** How many sessions there have been. */
  #made = 0;

  private constructor(ort: typeof Ort, options: EngineOptions) {
    this.#ort = ort;
    this.#options = options;
    this.#cancel = options.cancel && new Int32Array(options.cancel);
    this.#way = options.standsFor === 'cuda' ? cudaOnCpu : ways[options.provider];
    this.hasDevice = this.#way.weights === 'held';
    this.storesWeights = this.#way.weights === 'stored';
    this.tilesAttention = this.#way.weights === 'given';
    const { memory = usualMemory, stored = memory } = options;
    this.memory = this.storesWeights ? stored : memory;
    // Where sessions store weights: a forward and a backward graph of two shapes of batches, each of which goes there by the host.
    this.spanMemory = { given: 0, held: memory / 2, stored: Math.min(stored / 4, memory / 2) }[
      this.#way.weights
    ];
    this.residence = new Residence(this, this.memory);
    this.#sessions = new SessionCache(this.memory, ({ session }) => session.release());
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
    const { provider, stored = provider === 'cuda' ? freeDeviceMemory() : undefined } = options;
    const engine = new Engine(ort, { ...options, stored });
    // A driver that is missing, or a device without halves, is told before anything is read.
    if (provider !== 'cpu') await engine.#tryOut();
    return engine;
  }

  /** The type in which weights of a shape that stay as they are are kept where graphs run: of matrices, as the precision says. */
  keptAs(shape: readonly number[]): 'float32' | Half {
    const { precision = 'float32' } = this.#options;
    return shape.length === 2 ? precision : 'float32';
  }

  /** What results depend on beside their inputs, by its name in `spec.engine`: nothing in float32, whoever computes it. */
  get rounding(): { precision?: Half } {
    const { precision = 'float32' } = this.#options;
    return precision === 'float32' ? {} : { precision };
  }

  /** True once the stage was asked to stop. */
  get isCancelled(): boolean {
    return this.#cancel !== undefined && Atomics.load(this.#cancel, 0) !== 0;
  }

  /** @throws OffsiteError Cancelled once the stage was asked to stop */
  throwIfCancelled(): void {
    if (this.isCancelled) throw cancelled('stopped on request');
  }

  /**
   * The session of a graph, built when its key is new.
   * @param graph names the graph and all its shapes
   */
  async session(graph: string, build: () => GraphBuilder, frozen?: Frozen): Promise<Session> {
    const made = await this.#sessions.get(this.#keyOf(graph, frozen), () => {
      const prepared = this.#prepared(build(), frozen);
      return {
        stored: bytesOf(prepared.apart),
        make: (keepsMemory) => this.#create(prepared, keepsMemory, frozen),
      };
    });
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
    for (const { session } of await this.#sessions.takeAll()) {
      if (this.#options.trace !== undefined) session.endProfiling();
      await session.release();
    }
  }

  /** Of a graph with frozen inputs other weights make another session where these are stored in it, and so do other halves. */
  #keyOf(graph: string, frozen: Frozen | undefined): string {
    if (frozen === undefined) return graph;
    const { precision = 'float32' } = this.#options;
    const halves = precision === 'float32' ? '' : `, ${precision} ${[...frozen.inputs].join(' ')}`;
    return `${graph}${halves}${this.storesWeights ? ` of ${frozen.name}` : ''}`;
  }

  /** The graph as the provider runs it. */
  #prepared(graph: GraphBuilder, frozen: Frozen | undefined): GraphBuilder {
    const { products, replacements } = this.#way;
    const { precision = 'float32' } = this.#options;
    let prepared = graph;
    if (frozen !== undefined && precision !== 'float32') {
      const halves = prepared.inputs.filter(
        ({ name, shape }) => frozen.inputs.has(name) && this.keptAs(shape) !== 'float32',
      );
      const inputs = new Set(halves.map(({ name }) => name));
      prepared = inHalf(prepared, { type: precision, inputs, products });
    }
    if (frozen !== undefined && this.storesWeights) prepared = withGivenOnce(prepared, frozen.inputs);
    return replacements === undefined ? prepared : rewrite(prepared, replacements);
  }

  async #create(graph: GraphBuilder, keepsMemory: boolean, frozen: Frozen | undefined): Promise<Made> {
    const { provider, threads, trace } = this.#options;
    const stays = new Set(graph.outputs.flatMap(({ name, stays }) => (stays ? [name] : [])));
    const weights = frozen?.read(new Set(graph.apart.map(({ name }) => name))) ?? {};
    try {
      const session = await this.#ort.InferenceSession.create(graph.serialize(), {
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
        extra: {
          session: {
            force_spinning_stop: '1',
            // Weights take what they need of a device, and not the next power of two.
            ...(graph.apart.length > 0 && { use_device_allocator_for_initializers: '1' }),
          },
        },
        ...(graph.apart.length > 0 && {
          externalData: graph.apart.map(({ name }) => ({
            path: name,
            data: bytesIn(weights[name] as Tensor),
          })),
        }),
      });
      for (const { name } of graph.apart) count(this.traffic.sent, name, weights[name] as Tensor);
      return { session, stays };
    } catch (error) {
      if (this.#way.weights !== 'given' && isOutOfMemory(error)) throw this.#deviceFull(error);
      if (provider === 'cpu') throw error;
      const reason = provider === 'cuda' ? whyNotLoaded() : undefined;
      const said = [saidBy(error), ...(reason === undefined ? [] : [reason])].join(': ');
      throw engineUnavailable(`provider ${provider} cannot start: ${said}${needs[provider]}`);
    }
  }

  /** One product as the provider would run it. @throws OffsiteError EngineUnavailable where it cannot */
  async #tryOut(): Promise<void> {
    const x: Tensor = { dtype: 'float32', shape: [1, 1], data: new Float32Array(1) };
    const dtype = this.keptAs(x.shape);
    const w: Tensor = dtype === 'float32' ? x : { ...x, dtype, data: new Uint16Array(1) };
    const frozen: Frozen = { name: 'trial', inputs: new Set(['w']), read: () => ({ w }) };
    const session = await this.session('trial', trial, frozen);
    // Whether the device has halves is told by a run.
    if (dtype === 'float32') return;
    try {
      await session.run(this.storesWeights ? { x } : { x, w });
    } catch (error) {
      const { provider, precision } = this.#options;
      throw engineUnavailable(
        `provider ${provider} cannot compute in ${precision} on this device: ${saidBy(error)}; spec.engine.precision: float32 needs nothing of it`,
      );
    }
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
    for (const [name, tensor] of Object.entries(await this.#ran(session, given, wanted))) {
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
      if (this.#way.weights !== 'given') count(this.traffic.received, name, found);
    }
    return { home, held };
  }

  async #ran(
    session: Ort.InferenceSession,
    given: Readonly<Record<string, Ort.Tensor>>,
    wanted: Readonly<Record<string, Ort.Tensor | null>>,
  ): Promise<Ort.InferenceSession.ReturnType> {
    try {
      return await session.run(given, wanted);
    } catch (error) {
      if (this.#way.weights !== 'given' && isOutOfMemory(error)) throw this.#deviceFull(error);
      throw error;
    }
  }

  #deviceFull(error: unknown): Error {
    const { provider } = this.#options;
    const weights = `${(this.memory / 2 ** 30).toFixed(1)} GiB`;
    return engineUnavailable(
      `provider ${provider}: the device's memory is full (${saidBy(error)}): lower spec.engine.memory, which bounds the weights that lie there (${weights} now), or maxLength or the batch, which the states of a run follow from`,
    );
  }

  #given(name: string, tensor: Held): Ort.Tensor {
    if (!isOnHost(tensor)) return (tensor as Placed).tensor;
    if (this.#way.weights !== 'given') count(this.traffic.sent, name, tensor);
    return this.#wrap(tensor);
  }

  #wrap({ dtype, data, shape }: Tensor): Ort.Tensor {
    const tensor = new this.#ort.Tensor(dtype as 'float32', data as Float32Array, shape);
    // It makes a Float16Array of the bits, of which the binding reads no number: it reads the bits themselves.
    if (dtype === 'float16') Object.defineProperty(tensor, 'data', { value: data });
    return tensor;
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

const bytesIn = ({ data }: Tensor): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const bytesOf = (tensors: readonly Value[]): number =>
  tensors.reduce((sum, { dtype, shape }) => sum + product(shape) * (dtype === 'float32' ? 4 : 2), 0);

/** One product, as a provider's first graph. */
function trial(): GraphBuilder {
  const g = new GraphBuilder();
  const [x, w] = ['x', 'w'].map((name) => g.input(name, 'float32', [1, 1])) as [Value, Value];
  g.output('y', g.matmul(x, w));
  return g;
}

/** What a provider's own words leave out. */
const needs = {
  cuda: '; it needs a GPU of NVIDIA, and its driver',
  webgpu: '; it needs a GPU whose driver has Vulkan, and libvulkan.so.1',
} as const;
