// Figures as people read them: accuracies as percent, perplexities as they are.

export const isPerplexity = (metric: string): boolean => metric === 'perplexity';

/** What a metric is called, and which way is better. */
export const metricTitles: Readonly<Record<string, string>> = {
  acc: 'accuracy',
  acc_norm: 'accuracy, by length in bytes',
  pair_acc: 'pair accuracy',
  exact_match: 'exact match',
  perplexity: 'perplexity (lower is better)',
};

export const metricTitle = (metric: string): string => metricTitles[metric] ?? metric;

/** What a pair accuracy says. @param reference the model that it is against */
export const pairNote = (reference: string): string =>
  `Pair accuracy is how often the chosen answer stands higher against the rejected one than in ${reference}, whose own is 50% by definition.`;

/** Of whatever is measured on preference pairs. */
export const lengthNote =
  'How long the two answers of a pair are counts too: whatever gives every token another likelihood leans by it.';

/** `78.6%`, or a perplexity `12.34`; a dash for what is not a number, ∞ beyond all numbers. */
export function quality(metric: string, value: string | number): string {
  const number = Number(value);
  if (!Number.isFinite(number)) return significant(number);
  return isPerplexity(metric) ? significant(number) : `${(100 * number).toFixed(1)}%`;
}

/** The error or size of a difference: `1.8 points`, or `0.12`. */
export function spread(metric: string, value: string | number, unit = false): string {
  const number = Number(value);
  if (isPerplexity(metric) || !Number.isFinite(number)) return significant(number);
  return `${(100 * number).toFixed(1)}${unit ? ' points' : ''}`;
}

/** A difference with its sign: `+14.0`, `−0.3`. */
export function signed(metric: string, value: string | number): string {
  const text = spread(metric, Math.abs(Number(value)));
  if (text === '–' || Number(text) === 0) return text;
  return `${Number(value) < 0 ? '−' : '+'}${text}`;
}

/** Four significant digits, without an exponent for what is near 1. */
export function significant(value: number): string {
  if (value === 0) return '0';
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : `${value < 0 ? '−' : ''}∞`;
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6 || magnitude < 1e-4) return value.toExponential(2);
  return value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(magnitude))));
}

/** A share from 0 to 1 as percent. */
export function share(value: string | number): string {
  const number = Number(value);
  if (!Number.isFinite(number)) return '–';
  // Nearly all is not all.
  return number < 1 && number >= 0.9995 ? '>99.9%' : `${(100 * number).toFixed(1)}%`;
}

/** `1.6 GB`; decimal units, as file managers show them. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log10(count) / 3));
  return power === 0 ? `${count} bytes` : `${(count / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

/** `1,234,567`. */
export const grouped = (count: number): string => count.toLocaleString('en-US');

/** `1 row`, `2 rows`. */
export const counted = (count: number, noun: string): string =>
  `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;

/** `a, b and c`. */
export function listed(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** Numbers in order as `0–4, 7, 9–11`. */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs
    .map(([from, to]) => (from === to ? `${from}` : to === from + 1 ? `${from}, ${to}` : `${from}–${to}`))
    .join(', ');
}

/** The last part of an address: `smollm2` of `pvc://models/smollm2`. */
export function lastSegment(uri: string): string {
  return uri.replace(/\/+$/, '').split(/[/:]/).at(-1) || uri;
}

/** The start of a digest, enough to tell two apart. */
export const shortDigest = (digest: string): string =>
  digest.startsWith('sha256:') ? `${digest.slice(0, 'sha256:'.length + 8)}…` : digest;

/** `2026-05-01 10:00:00 UTC` of an RFC 3339 time in UTC; any other text as it is. */
export const moment = (time: string): string =>
  time.replace(/^([-\d]+)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z$/, '$1 $2 UTC');
