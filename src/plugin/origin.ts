// Whose fault a change is that cannot be taken, as errors name it.

/** Whose changes are looked at, and what is to be done about such as are too large. */
export interface Origin {
  readonly name: string;
  /** @param weight the full model's, or an inserted one's, whose change it is; none where only scores show it */
  remedy(weight?: string): string;
}

/** Of an adapter that was trained. */
export const trainedIn = (directory: string): Origin => ({
  name: directory,
  remedy: () => 'train with a lower learning rate',
});
