// The compressions by spec.compression.type.
import type { Way } from '../../api/index.ts';
import type { ObservationName } from '../observe/observations.ts';
import type { Compression, Given } from './compression.ts';
import { laco } from './laco.ts';
import { lowRank } from './low-rank.ts';
import { quantize } from './quantize.ts';
import { width } from './width.ts';

export type CompressionOptions = NonNullable<Way['compression']>;

/** A compression with its options: all that `assemble` knows of it. */
export interface ChosenCompression {
  readonly needs: readonly ObservationName[];
  plan(layers: readonly number[], given: Given): ReturnType<Compression<never>['plan']>;
  derive(
    layer: number,
    shape: Parameters<Compression<never>['derive']>[1],
    given: Given,
  ): ReturnType<Compression<never>['derive']>;
}

export function compressionOf(options: CompressionOptions): ChosenCompression {
  switch (options.type) {
    case 'lowRank': {
      const { ratio = '0.35', ratios = 'uniform', select = 'sigma', lambda = '1' } = options;
      return chosen(lowRank, { ratio: Number(ratio), ratios, select, lambda: Number(lambda) });
    }
    case 'width': {
      const { ratio = '0.35', score = 'flap', refit = true, lambda = '1' } = options;
      return chosen(width, { ratio: Number(ratio), score, refit, lambda: Number(lambda) });
    }
    case 'quantize':
      return chosen(quantize, { bits: options.bits === 4 ? 4 : 8 });
    case 'laco':
      return chosen(laco, {});
  }
}

/** What a build must observe of the probe's rows. */
export const observedFor = (compression: CompressionOptions | undefined): readonly ObservationName[] =>
  compression === undefined ? [] : compressionOf(compression).needs;

const chosen = <Options>(compression: Compression<Options>, options: Options): ChosenCompression => ({
  needs: compression.needs(options),
  plan: (layers, given) => compression.plan(layers, given, options),
  derive: (layer, shape, given) => compression.derive(layer, shape, given, options),
});
