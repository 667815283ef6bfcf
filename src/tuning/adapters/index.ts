// The adapter kinds by spec.adapter, with their defaults.
import type { OffsiteTuneSpec } from '../../api/index.ts';
import type { AdapterKind } from './adapter.ts';
import { bottleneck } from './bottleneck.ts';
import { bitfit, layers, wholeHead } from './direct.ts';
import { lora } from './lora.ts';
import type { LoraOptions } from './peft.ts';

export { type AdapterKind, type AdapterTensor, type Change, insertedBy, type Moment } from './adapter.ts';
export { direct } from './direct.ts';
export { addProduct, type LowRank, productRows, productSize, sizeUncancelled } from './low-rank.ts';
export { linearModules, peftConfigOf } from './peft.ts';

/** What spec.adapter asks for; rank 4, alpha 32 and size 64 are the published setting (CRaSh, arXiv 2310.15477). */
export function adapterOf(spec: OffsiteTuneSpec['adapter']): AdapterKind {
  const { size = 64, head = false } = spec;
  switch (spec.type) {
    case 'layers':
      return withHead(layers, head);
    case 'bitfit':
      return withHead(bitfit, head);
    case 'bottleneck':
      return withHead(bottleneck(size), head);
    case 'lora':
      return lora(loraOptionsOf(spec));
  }
}

/** The settings of LoRA, the absent ones with their defaults. */
export function loraOptionsOf(spec: OffsiteTuneSpec['adapter']): LoraOptions {
  const { rank = 4, alpha = 32, targetModules, dropout = '0', head = false } = spec;
  return { rank, alpha, targetModules, dropout: Number(dropout), head };
}

const withHead = (kind: AdapterKind, head: boolean): AdapterKind =>
  head ? { ...kind, head: (architecture) => [wholeHead(architecture)] } : kind;
