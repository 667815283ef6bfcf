// Whose fault a change is that cannot be taken, as errors name it.

/** Whose changes are looked at, and what is to be done about such as are too large. */
export interface Origin {
  readonly name: string;
  readonly remedy: string;
}

/** Of an adapter that was trained. */
export const trainedIn = (directory: string): Origin => ({
  name: directory,
  remedy: 'train with a lower learning rate',
});
