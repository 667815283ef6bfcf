// A store in memory, as S3 is one, with conditions on what is written and the mark of who wrote it.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { Outgoing, WritableStore } from '../../../../src/artifact/stores/store.ts';

const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** A store in memory that tells of each object that came or went. */
export class MemoryStore implements WritableStore {
  readonly objects = new Map<string, { bytes: Buffer; version: string; writer?: string }>();
  onWrite: (object: string) => void = () => {};
  onChange: () => void = () => {};
  onLook: (object: string) => void = () => {};
  /** As servers differ: conditions hold, are not known, or hold while answers are lost on their way. */
  server: 'conditional' | 'refusing' | 'forgetful' = 'conditional';

  async list(place: string) {
    return [...this.objects]
      .filter(([object]) => object === place || object.startsWith(`${place}/`))
      .map(([object, { bytes, version }]) => ({
        path: object.slice(place.length + 1),
        sizeBytes: bytes.length,
        version,
      }));
  }

  async read(object: string) {
    const { bytes } = this.objects.get(object)!;
    return { body: Readable.from([bytes]), checksum: { sha256: sha256Of(bytes) } };
  }

  async write(object: string, { body, sizeBytes, sha256, writer, condition = 'anyway' }: Outgoing) {
    this.onWrite(object);
    const bytes = await buffer(body);
    expect(bytes.length).toBe(sizeBytes);
    expect(sha256Of(bytes)).toBe(sha256);
    const there = this.objects.get(object)?.version;
    if (condition !== 'anyway') {
      if (this.server === 'refusing') return 'unsupported' as const;
      if (there !== (condition === 'absent' ? undefined : condition.over)) return undefined;
    }
    const version = this.put(object, bytes, writer);
    return condition !== 'anyway' && this.server === 'forgetful' ? undefined : version;
  }

  /** As in S3 a version follows from the bytes; who copies within the store copies what is kept beside them, too. */
  put(object: string, bytes: Buffer, writer?: string): string {
    const version = sha256Of(bytes);
    this.objects.set(object, { bytes, version, ...(writer !== undefined && { writer }) });
    this.onChange();
    return version;
  }

  async written(object: string) {
    this.onLook(object);
    const there = this.objects.get(object);
    if (there === undefined) return undefined;
    const { version, writer, bytes } = there;
    // What was laid there by hand has nothing beside it.
    return { version, writer, sha256: writer === undefined ? undefined : sha256Of(bytes) };
  }

  /** Locks are kept elsewhere in these tests. */
  readText = () => Promise.reject(new Error('no texts here'));
  writeText = () => Promise.reject(new Error('no texts here'));

  async remove(objects: readonly string[]): Promise<void> {
    for (const object of objects) {
      this.objects.delete(object);
      this.onChange();
    }
  }
}
