// A checkpoint whose tensors lie in several files.
import { badModel } from '../api/index.ts';
import type { Checkpoint, ReadOptions, TensorInfo } from './checkpoint.ts';

/**
 * Several files as one checkpoint.
 * @param parts which file holds each tensor
 * @param where names the whole in errors
 */
export function joined(
  parts: ReadonlyMap<string, Checkpoint>,
  files: Iterable<Checkpoint>,
  metadata: Checkpoint['metadata'],
  where: string,
): Checkpoint {
  const partOf = (name: string): Checkpoint => {
    const part = parts.get(name);
    if (part === undefined) throw badModel(`${where}: has no tensor ${name}`);
    return part;
  };
  return {
    tensors: new Map([...parts].map(([name, part]) => [name, part.tensors.get(name) as TensorInfo])),
    metadata,
    read: (name: string, options?: ReadOptions) => partOf(name).read(name, options),
    readBytes: (name: string) => partOf(name).readBytes(name),
    close() {
      for (const file of files) file.close();
    },
  };
}
