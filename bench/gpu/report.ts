// What the check found, and its table.
import { operationsOf, type Size } from './sizes.ts';

export interface Speed {
  readonly tokens: number;
  readonly seconds: number;
}

export interface Training extends Speed {
  readonly losses: readonly number[];
  /** Of one step, after the first. */
  readonly bytes?: { readonly sent: number; readonly received: number };
}

/** Frozen matrices as halves, or why there are none. */
export interface Half {
  readonly precision: 'float16' | 'bfloat16';
  readonly probe?: Speed;
  /** Of the first fixture from transformers' float32. */
  readonly difference?: number;
  readonly missing?: string;
}

/** One line of what measures a provider, or the peer. */
export type Part =
  | { readonly part: 'missing'; readonly reason: string }
  | { readonly part: 'matrix'; readonly flops: number }
  | ({ readonly part: 'probe' } & Speed)
  | ({ readonly part: 'train' } & Training)
  | ({ readonly part: 'half' } & Half)
  | { readonly part: 'parity'; readonly variant: string; readonly difference: number };

/** A provider, or PyTorch. */
export interface Side {
  /** Why there is nothing, or no more than there is. */
  readonly missing?: string;
  readonly flops?: number;
  readonly probe?: Speed;
  readonly train?: Training;
  readonly halves: readonly Half[];
  /** The largest difference of logits, loss and gradients from transformers', by fixture. */
  readonly parity: Readonly<Record<string, number>>;
}

export interface Report {
  readonly machine: Readonly<Record<string, string | number | undefined>>;
  readonly size: string;
  readonly seconds: number;
  /** How many fixtures there are. */
  readonly fixtures: number;
  readonly sides: Readonly<Record<string, Side>>;
}

export const peerName = 'PyTorch eager';
/** What float32 leaves open on a device. */
const bar = 1e-3;
/** What halves leave open of the gradients of a small model (`test/golden/half.test.ts`). */
const halfBars = { float16: 3e-2, bfloat16: 0.2 };

export function sideOf(parts: readonly Part[], failure: string | undefined): Side {
  const side: { -readonly [K in keyof Side]: Side[K] } = { parity: {}, halves: [] };
  for (const { part, ...found } of parts) {
    if (part === 'missing') side.missing = (found as { reason: string }).reason;
    else if (part === 'matrix') side.flops = (found as { flops: number }).flops;
    else if (part === 'probe') side.probe = found as Speed;
    else if (part === 'train') side.train = found as Training;
    else if (part === 'half') side.halves = [...side.halves, found as Half];
    else {
      const { variant, difference } = found as { variant: string; difference: number };
      side.parity = { ...side.parity, [variant]: difference };
    }
  }
  if (failure !== undefined) side.missing ??= failure;
  return side;
}

/** What is not as it must be, a line each; a provider that is not there is no fault, all of them missing is. */
export function faultsOf({ sides }: Report): string[] {
  const ours = Object.entries(sides).filter(([name]) => name !== peerName);
  const peer = sides[peerName]?.train?.losses;
  const faults = ours.flatMap(([name, { parity, halves, train, missing, flops }]) => [
    ...(missing !== undefined && flops !== undefined ? [`${name}: ${missing}`] : []),
    ...Object.entries(parity).flatMap(([variant, difference]) =>
      difference < bar ? [] : [`${name}: ${variant} differs by ${difference} from transformers`],
    ),
    ...halves.flatMap(({ precision, difference = 0 }) =>
      difference < halfBars[precision]
        ? []
        : [`${name}: ${precision} differs by ${difference} from transformers' float32`],
    ),
    ...(train !== undefined && peer !== undefined && !(apart(train.losses, peer) < bar)
      ? [`${name}: losses differ by ${apart(train.losses, peer)} from PyTorch's`]
      : []),
  ]);
  const ran = ours.some(([, { flops }]) => flops !== undefined);
  return ran ? faults : ['no provider ran on this machine', ...faults];
}

/** The largest relative difference of two lists. */
function apart(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value / (b[i] ?? Number.NaN) - 1)));
}

export function tableOf({ machine, seconds, size: sizeName, fixtures, sides }: Report, size: Size): string {
  const names = Object.keys(sides);
  const operations = operationsOf(size);
  const peak = Math.max(...Object.values(sides).map(({ flops }) => flops ?? 0));
  const peer = sides[peerName];
  const row = (title: string, cell: (side: Side, name: string) => string | undefined) =>
    `| ${[title, ...names.map((name) => cell(sides[name]!, name) ?? '')].join(' | ')} |`;
  const speedOf = ({ tokens, seconds }: Speed) => tokens / seconds;
  const speed = (part: 'probe' | 'train') => (side: Side) => {
    const found = side[part];
    if (found === undefined) return undefined;
    const theirs = side !== peer && peer?.[part];
    const times = theirs ? ` (${(speedOf(found) / speedOf(theirs)).toFixed(2)} x)` : '';
    return `${Math.round(speedOf(found))}${times}`;
  };
  const share =
    (part: 'probe' | 'train') =>
    ({ [part]: found }: Side) =>
      found && `${((100 * speedOf(found) * operations[part]) / peak).toFixed(1)} %`;
  return [
    ...Object.entries(machine).map(([name, value]) => `${name}: ${value ?? 'unknown'}  `),
    `model: the shape of ${sizeName}, weights by chance, float32; ${Math.round(seconds)} s in all  `,
    '',
    `| ${['', ...names].join(' | ')} |`,
    `| ${['---', ...names.map(() => '---:')].join(' | ')} |`,
    row(`fixtures within ${bar} of transformers, of ${fixtures}`, ({ parity }, name) =>
      name === peerName
        ? undefined
        : String(Object.values(parity).filter((difference) => difference < bar).length),
    ),
    row('largest difference', ({ parity }) => {
      const found = Object.values(parity);
      return found.length > 0 ? Math.max(...found).toExponential(1) : undefined;
    }),
    row('largest product, TFLOP/s', ({ flops }) =>
      flops === undefined ? undefined : (flops / 1e12).toPrecision(3),
    ),
    row('probe, tokens/s', speed('probe')),
    row('probe, share of the largest product of all', share('probe')),
    ...(['float16', 'bfloat16'] as const).flatMap((precision) => {
      const of = ({ halves }: Side) => halves.find((half) => half.precision === precision);
      return [
        row(`probe in ${precision}, tokens/s`, (side) => {
          const { probe, missing } = of(side) ?? {};
          return probe === undefined ? missing?.replaceAll('|', '/') : String(Math.round(speedOf(probe)));
        }),
        row(`largest difference in ${precision}, of one fixture`, (side) =>
          of(side)?.difference?.toExponential(1),
        ),
      ];
    }),
    row('training step, tokens/s', speed('train')),
    row('training step, share of the same', share('train')),
    row('bytes to the device, a step', ({ train }) => train?.bytes && String(train.bytes.sent)),
    row('bytes from the device, a step', ({ train }) => train?.bytes && String(train.bytes.received)),
    row('loss of the last step', ({ train }) => train?.losses.at(-1)?.toFixed(5)),
    row('not here, or not to its end', ({ missing }) => missing?.replaceAll('|', '/')),
    '',
  ].join('\n');
}
