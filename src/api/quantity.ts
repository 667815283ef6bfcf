// Kubernetes quantities of memory as numbers of bytes.

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** The whole bytes of a quantity such as "4Gi" that a schema has accepted. */
export function bytesOf(quantity: string): number {
  const [, number = '', unit = ''] = /^([0-9.]+)([A-Za-z]*)$/.exec(quantity) ?? [];
  return Math.floor(Number(number) * units[unit]!);
}
