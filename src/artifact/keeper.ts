// The interface by which stages bring files from and to stores, and learn that another run has taken over.

/** How a path and its store's place are made alike: `exact` also takes away what only the other side has. */
export interface Alike {
  exact: boolean;
  /** Only where manifest.json is: what was cut off in the middle is not brought. */
  sealed?: boolean;
}

/** What a stage asks for about files beside its inputs and its output. A path that is no store's copy lies in place already. */
export interface Keeper {
  /** Brings what the store has. */
  pull(path: string, what: Alike): Promise<void>;
  /** Takes it to the store. */
  push(path: string, what: Alike): Promise<void>;
  /** The same in the background; what goes wrong is a warning. */
  pushLater(path: string, what: Alike): void;
  /** Asked before anything is saved. @throws TakenOver where another run has the place by now */
  held(): Promise<void>;
  /** Asked right before the artifact of this digest takes its place, or before that is made beside it: the same, and marks whose it is. */
  claim(digest: string): Promise<void>;
}

/** All paths lie in place. */
export const inPlace: Keeper = {
  async pull() {},
  async push() {},
  pushLater() {},
  async held() {},
  async claim() {},
};
