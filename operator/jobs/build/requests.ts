/** What a worker container asks the scheduler for, and how much it may take. */
import { bytesOf, type Engine, isInStore } from '../../../src/api/index.ts';
import { isMapping, type Json } from '../json.ts';
import { gigabyte, type StageWork } from '../stages.ts';
import { defaultLimits, type Given, type LimitFactors } from './limits.ts';

/** What the worker takes for its computation where spec.engine.memory does not say. */
const usualMemory = 4 * gigabyte;
/** Node, the runtime and buffers, beside the computation. */
const besideComputation = gigabyte;
/** /tmp, logs and a small scratch. */
const smallDisk = gigabyte;

export interface Requests {
  readonly requests: Readonly<Record<string, string>>;
  readonly limits: Readonly<Record<string, string>>;
  readonly given: Given;
}

/** What is known beside the stage: the model's size, where a resource tells it, and the resource of which one GPU is asked. */
export interface Known {
  readonly modelBytes: number | undefined;
  readonly gpu: string | undefined;
}

/** Requests that fit the stage. */
export function requestsOf(engine: Engine, work: StageWork, { modelBytes, gpu }: Known): Requests {
  const disk = smallDisk + scratchOf(work);
  const requests: Record<string, string> = {
    cpu: String(engine.threads),
    memory: quantityOf(memoryOf(engine, work, modelBytes) + besideComputation),
    'ephemeral-storage': quantityOf(disk),
  };
  const given = { memory: budgetOf(engine) + besideComputation, disk };
  const limits = gpu === undefined ? {} : { [gpu]: '1' };
  return { requests: { ...requests, ...limits }, limits, given };
}

const budgetOf = ({ memory }: Engine): number => (memory === undefined ? usualMemory : bytesOf(memory));

function memoryOf(engine: Engine, { fillsMemory }: StageWork, modelBytes: number | undefined): number {
  const budget = budgetOf(engine);
  // A model smaller than the budget is held whole; a larger one is streamed within it.
  return fillsMemory || modelBytes === undefined ? budget : Math.min(budget, modelBytes + gigabyte);
}

/** What is downloaded before it is read, and written before it is uploaded. */
function scratchOf({ reads, writes, onOwnDisk = 0 }: StageWork): number {
  return [...reads, ...writes]
    .filter(({ uri }) => isInStore(uri))
    .reduce((total, { bytes }) => total + bytes, onOwnDisk);
}

export interface WorkerResources {
  readonly resources: Json;
  /** The memory limit, where no template states one. */
  readonly defaultMemory: string | undefined;
}

/**
 * Our requests and limits where the template's container states none of its own: its figures win, a limit without a request is
 * the request, and a GPU of any sort (MIG, shared, a resource claim) takes the place of ours.
 * @param template the merged pod template, @param worker its entry for our container
 */
export function withTemplate(
  ours: Requests,
  factors: LimitFactors,
  { template, worker }: { readonly template: Json; readonly worker: Json },
): WorkerResources {
  const theirs = mappingIn(worker, 'resources');
  const limits = mappingIn(theirs, 'limits');
  const requests = mappingIn(theirs, 'requests');
  const claims: unknown = theirs['claims'];
  const hasGpu =
    (Array.isArray(claims) && claims.length > 0) ||
    [...Object.keys(limits), ...Object.keys(requests)].some(
      (name) => isAccelerator(name) || name in ours.limits,
    );
  // All that we limit ourselves is the GPU.
  const kept = (quantities: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(quantities).filter(([name]) => !(hasGpu && name in ours.limits)));
  const defaults = Object.fromEntries(
    Object.entries(defaultLimits(factors, ours.given, { template, requests }))
      .filter(([name]) => limits[name] === undefined)
      .map(([name, bytes]) => [name, quantityOf(bytes)]),
  );
  return {
    resources: {
      ...theirs,
      requests: { ...kept(ours.requests), ...limits, ...requests },
      limits: { ...defaults, ...kept(ours.limits), ...limits },
    },
    defaultMemory: defaults['memory'],
  };
}

function mappingIn(mapping: Json, field: string): Json {
  const value = mapping[field];
  return isMapping(value) ? value : {};
}

/** Resources of device plugins, such as nvidia.com/gpu, nvidia.com/mig-1g.10gb or a vendor's shared GPU. */
const isAccelerator = (name: string) => /^(nvidia|amd)\.com\/|^gpu\.intel\.com\/|gpu/.test(name);

/** Whole mebibytes, as people write them. */
function quantityOf(bytes: number): string {
  const mebibytes = Math.ceil(bytes / 2 ** 20);
  return mebibytes % 1024 === 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`;
}
