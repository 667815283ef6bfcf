// The stores that a URI may name, by scheme.

/** A store is declared once: what addresses may be, whether outputs may lie there, and that pods need disk for copies of it. */
export interface StoreDeclaration {
  /** How its places are written. */
  readonly form: string;
  /** Whether it can be written to. */
  readonly writable: boolean;
  /** Whether what stands before the path, in parts, can be what it is to be: it becomes part of an address. */
  isNamed(parts: readonly string[]): boolean;
}

/** By the schemes of their URIs. */
export const stores = {
  hf: {
    form: 'hf://OWNER/NAME[@REVISION][/PATH] or hf://datasets/OWNER/NAME[@REVISION]/PATH',
    writable: false,
    isNamed(parts) {
      const [owner = '', name = ''] = parts[0] === 'datasets' ? parts.slice(1) : parts;
      return /^[\w.-]+$/.test(owner) && /^[\w.-]+(@.+)?$/.test(name);
    },
  },
  s3: { form: 's3://BUCKET/PATH', writable: true, isNamed: () => true },
  https: {
    form: 'https://HOST/PATH',
    writable: false,
    isNamed: ([host = '']) => !host.includes('%') && URL.canParse(`https://${host}/`),
  },
} as const satisfies Readonly<Record<string, StoreDeclaration>>;

export type StoreScheme = keyof typeof stores;

export const storeSchemes = Object.keys(stores) as StoreScheme[];
export const writableSchemes = storeSchemes.filter((scheme) => stores[scheme].writable);

/** Whether an address is one of a store, by its form alone. */
export const isInStore = (uri: string): boolean =>
  storeSchemes.some((scheme) => uri.startsWith(`${scheme}:`));
