import type { OffsiteTuneSpec } from '../../api/index.ts';
import type { AdapterKind } from './adapter.ts';
import { bitfit, layers } from './direct.ts';
import { lora } from './lora.ts';

export type { AdapterKind, AdapterTensor, Change } from './adapter.ts';

/** What spec.adapter asks for; rank 4 and alpha 32 are the published setting (METHOD.md). */
export function adapterOf({
  type,
  rank = 4,
  alpha = 32,
  targetModules,
}: OffsiteTuneSpec['adapter']): AdapterKind {
  switch (type) {
    case 'layers':
      return layers;
    case 'bitfit':
      return bitfit;
    case 'lora':
      return lora({ rank, alpha, targetModules });
  }
}
