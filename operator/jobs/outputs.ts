/** Who writes where: a place has one writer at a time, whoever made its Jobs and pods. */

import {
  addressesAround,
  addressOf,
  handedOn,
  isShared,
  resourceIn,
  variables,
  workerContainer,
} from '../../src/api/index.ts';
import type { KubeObject } from '../runtime/index.ts';
import { isMapping } from './json.ts';
import type { Job, Pod } from './objects.ts';

/** A longer one is no address of any resource that was taken. */
const longestAddress = 1024;

/** The output of a resource as it is stored; its spec may be wrong. */
export function outputOf({ spec }: KubeObject): string | undefined {
  const output = isMapping(spec) ? spec['output'] : undefined;
  const uri = isMapping(output) ? output['uri'] : undefined;
  return typeof uri === 'string' && uri.length <= longestAddress ? addressOf(uri) : undefined;
}

/** No process is started with a longer variable; `$$` stands for one character of it. */
const longestTold = 2 * 131_072;

/**
 * The output that a Job or a pod of ours works for. It stands in what the worker is told, which nobody changes afterwards,
 * as labels are; caches keep it apart from the rest of that.
 */
export function writesOf({ spec }: Job | Pod): string | undefined {
  if (typeof spec?.writes === 'string') return spec.writes;
  const template = isMapping(spec?.['template']) ? spec['template']['spec'] : spec;
  const containers: unknown = isMapping(template) ? template['containers'] : undefined;
  const worker = named(containers, workerContainer);
  const told = named(worker?.['env'], variables.job)?.['value'];
  if (typeof told !== 'string' || told.length > longestTold) return undefined;
  const resource = resourceIn(handedOn(told));
  return isMapping(resource) ? outputOf(resource as KubeObject) : undefined;
}

function named(list: unknown, name: string): Record<string, unknown> | undefined {
  const entries: unknown[] = Array.isArray(list) ? list : [];
  return entries.filter(isMapping).find((entry) => entry['name'] === name);
}

/** Under which an output is found again in its namespace; claims are of a namespace. */
const outputKey = (namespace: string | undefined, address: string): string => `${namespace}/${address}`;
/** Under which all that lie inside a place are found. */
const insideKey = (namespace: string | undefined, address: string): string =>
  `${outputKey(namespace, address)}/`;

/** The keys under which an output is indexed, so that `sharingKeys` of any that shares its place find it. */
export const outputKeys = (namespace: string | undefined, address: string): string[] => [
  outputKey(namespace, address),
  ...addressesAround(address).map((around) => insideKey(namespace, around)),
];

/** The keys of the outputs at one place, inside it, and around it: each would spoil the other's artifact. */
export const sharingKeys = (namespace: string | undefined, address: string): string[] => [
  outputKey(namespace, address),
  insideKey(namespace, address),
  ...addressesAround(address).map((around) => outputKey(namespace, around)),
];

/** The outputs for which this process is just making a Job, so that two resources with one output do not both make one. */
export class Entrances {
  readonly #isFree: (object: KubeObject) => boolean;
  readonly #taken = new Set<{ readonly namespace: string | undefined; readonly address: string }>();

  /** @param isFree whether nobody else writes to the output of a resource, by all that is known at this moment */
  constructor(isFree: (object: KubeObject) => boolean) {
    this.#isFree = isFree;
  }

  /** @returns what gives the output free again, once the Job is known; undefined where somebody else writes there */
  enter(object: KubeObject): (() => void) | undefined {
    const address = outputOf(object);
    if (address === undefined) return () => {};
    const { namespace } = object.metadata;
    const isTaken = [...this.#taken].some(
      (other) => other.namespace === namespace && isShared(other.address, address),
    );
    if (isTaken || !this.#isFree(object)) return undefined;
    const taken = { namespace, address };
    this.#taken.add(taken);
    return () => void this.#taken.delete(taken);
  }
}
