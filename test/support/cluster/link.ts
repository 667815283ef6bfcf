import { readFileSync } from 'node:fs';

/** A network interface; its number, which the kernel gives to no other, tells it from a later one of the same name. */
export interface Link {
  readonly name: string;
  readonly number: number;
}

/** The number of the interface that has a name now; undefined where none has. */
export function numberOf(name: string): number | undefined {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Whether it is this interface that has the name. */
export const isThere = ({ name, number }: Link): boolean => numberOf(name) === number;
