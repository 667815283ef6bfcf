// The protocol between a subprocess and its parent.

/** What a request may take. */
export interface Limits {
  /** Seconds of computing. */
  readonly seconds: number;
  /** Bytes of memory of the whole process: JavaScript's heap and all that lies beside it. */
  readonly memory: number;
}

/** A request, one at a time. */
export interface Order {
  readonly request: unknown;
  readonly limits: Limits;
}

/** What the process sends home: the program's answer, that it ends itself, or an error that the program did not catch. */
export type Message<Reply> =
  | { readonly reply: Reply }
  | { readonly exceeded: 'time' | 'memory' }
  | { readonly failed: string };
