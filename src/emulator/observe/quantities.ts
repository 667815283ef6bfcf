// The quantities that are summed over tokens, by the name that a sum begins with, and what becomes of their sums.

/** What the sums are divided by. */
export interface Counts {
  /** Tokens that are no padding. */
  readonly tokens: number;
  /** Tokens that were to be predicted: the loss is their mean. */
  readonly targets: number;
}

interface Quantity {
  /** Of a symmetric matrix only the upper triangle is summed and kept. */
  readonly symmetric?: true;
  /** What a sum is multiplied with: gradients are summed of the summed loss. */
  factor(counts: Counts): number;
}

const quantities: Readonly<Record<string, Quantity>> = {
  /** cos(x, y) of a block's input and output. */
  cosine: { factor: ({ tokens }) => 1 / tokens },
  /** x of a linear map. */
  first: { factor: ({ tokens }) => 1 / tokens },
  /** x x^T of a linear map. */
  second: { symmetric: true, factor: ({ tokens }) => 1 / tokens },
  /** dL/dW of a linear map. */
  weight: { factor: ({ targets }) => 1 / targets },
  /** g g^T of a linear map's output gradients. */
  outputs: { symmetric: true, factor: ({ tokens, targets }) => 1 / (tokens * targets ** 2) },
};

/** Of a sum's name, `second.query+key`, the quantity. */
export const quantityOf = (name: string): Quantity => quantities[name.split('.')[0]!]!;
