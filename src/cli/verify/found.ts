// What verification reports where it finds no fault.

/** What was found of something that is good. */
export interface Found {
  tensors: number;
  detail: string;
  /** What is no fault, but to be known. */
  remarks?: readonly string[];
}
