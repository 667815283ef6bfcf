/** What a pod that computes on a GPU asks of its node, by provider and vendor: the device, the parts of the driver, the taint it bears. */
import type { Engine } from '../../../src/api/index.ts';
import type { Json } from '../json.ts';

/** What an installation decides for one of these providers. */
export interface GpuSettings {
  /** The image of its pods; that of the others when absent. */
  readonly image?: string | undefined;
  /** The device plugin's resource of which a pod has one, such as nvidia.com/gpu; none when empty. */
  readonly resource?: string | undefined;
  /** Pod templates over those of all pods, each over those before it. */
  readonly templates?: readonly Json[] | undefined;
}

export type GpuProvider = Exclude<Engine['provider'], 'cpu'>;

/** Of what an installation does not say. Who has Vulkan is not known. */
const usual: Readonly<Record<GpuProvider, string>> = { cuda: 'nvidia.com/gpu', webgpu: '' };

/** What of NVIDIA's driver is mounted into the container: Vulkan is among graphics. */
const capabilities: Readonly<Record<GpuProvider, string>> = {
  cuda: 'compute,utility',
  webgpu: 'compute,utility,graphics',
};

/** How nodes' taints are called by vendor, whatever slice of a GPU a pod has. */
const taints: readonly [vendor: string, key: string][] = [
  ['nvidia.com/', 'nvidia.com/gpu'],
  ['amd.com/', 'amd.com/gpu'],
];

export interface GpuNeeds {
  readonly resource: string | undefined;
  readonly tolerations: readonly Json[];
  readonly env: readonly Json[];
}

/** @param gpu what the installation says of the provider */
export function gpuNeeds(provider: Engine['provider'], gpu: GpuSettings | undefined): GpuNeeds {
  if (provider === 'cpu') return { resource: undefined, tolerations: [], env: [] };
  const resource = (gpu?.resource ?? usual[provider]) || undefined;
  const key = taints.find(([vendor]) => resource?.startsWith(vendor))?.[1] ?? resource;
  // A claim of DRA may be for any vendor; who is not NVIDIA's reads no such variable.
  const mayBeNvidia = resource === undefined || resource.startsWith('nvidia.com/');
  const variables = {
    ...(mayBeNvidia && { NVIDIA_DRIVER_CAPABILITIES: capabilities[provider] }),
    // cuBLAS rounds float32 to 10 bits of fraction otherwise.
    ...(provider === 'cuda' && { NVIDIA_TF32_OVERRIDE: '0' }),
  };
  return {
    resource,
    tolerations: key === undefined ? [] : [{ key, operator: 'Exists', effect: 'NoSchedule' }],
    env: Object.entries(variables).map(([name, value]) => ({ name, value })),
  };
}
