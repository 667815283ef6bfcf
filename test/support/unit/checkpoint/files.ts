import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { OffsiteError } from '../../../../src/api/index.ts';

/** A file of the given bytes, there until the test has ended; its name tells what it is. */
export function file(name: string, bytes: Uint8Array | string): string {
  const directory = mkdtempSync(join(tmpdir(), 'checkpoint-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

/** The message of the BadModel that `open` must end in. */
export function badModelOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    expect(error).toBeInstanceOf(OffsiteError);
    expect((error as OffsiteError).reason).toBe('BadModel');
    return (error as OffsiteError).message;
  }
  throw new Error('it was opened');
}

/** The bytes of a safetensors file with any header: its text as it is, and the tensors behind it. */
export function safetensors(header: unknown, data: Uint8Array | number, claimed?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + text.length + bytes.length);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(bytes, 8 + text.length);
  return file;
}
