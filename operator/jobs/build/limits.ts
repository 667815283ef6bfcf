/** The limits of a worker where no template states one: what takes more than was reckoned ends its own pod, and no other of its node. */
import { bytesOf } from '../../../src/api/index.ts';
import { isMapping, type Json } from '../json.ts';
import { gigabyte } from '../stages.ts';

/** How many times what a pod is given its limits are: 1 or more, and 0 for no limit. */
export interface LimitFactors {
  readonly memory: number;
  readonly ephemeralStorage: number;
}

/** Under each factor one more than one adds so much at least: what one call of a stage may take, however little it was given. */
const leastStep = 2 * gigabyte;

export interface Given {
  /** What the computation may take of memory and what is beside it, in bytes, though the model be known to take less. */
  readonly memory: number;
  /** What is expected on the pod's own disk, in bytes. */
  readonly disk: number;
}

/**
 * By name of the resource, in bytes. A request of the template that is larger counts as what is given; one that is no plain
 * quantity has no limit.
 * @param template the merged pod template, @param requests of its worker
 */
export function defaultLimits(
  factors: LimitFactors,
  given: Given,
  { template, requests }: { readonly template: Json; readonly requests: Json },
): Readonly<Record<string, number>> {
  const ofPod = podLimits(template);
  const limits = [
    { name: 'memory', factor: factors.memory, bytes: given.memory },
    { name: 'ephemeral-storage', factor: factors.ephemeralStorage, bytes: given.disk },
  ].flatMap(({ name, factor, bytes }) => {
    const asked = requests[name] === undefined ? 0 : plainBytes(requests[name]);
    // The API server refuses a container's limit above its pod's.
    if (factor === 0 || asked === undefined || name in ofPod) return [];
    const base = Math.max(bytes, asked);
    return [[name, base + (factor - 1) * Math.max(base, leastStep)] as const];
  });
  return Object.fromEntries(limits);
}

function podLimits(template: Json): Json {
  const spec = isMapping(template['spec']) ? template['spec'] : {};
  const resources = isMapping(spec['resources']) ? spec['resources'] : {};
  return isMapping(resources['limits']) ? resources['limits'] : {};
}

function plainBytes(quantity: unknown): number | undefined {
  const text = String(quantity);
  return /^[0-9]+(\.[0-9]+)?([kMGT]|[KMGT]i)?$/.test(text) ? bytesOf(text) : undefined;
}
