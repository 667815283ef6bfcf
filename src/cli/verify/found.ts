// What verification reports where it finds no fault.

/** What was found of something that is good. */
export interface Found {
  tensors: number;
  detail: string;
}
