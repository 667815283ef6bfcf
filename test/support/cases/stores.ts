/** What every kind of store does, whatever it speaks: a new one brings a place to try it at, and no cases of its own. */
import { createHash, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoreScheme } from '../../../src/api/index.ts';
import { checkSignature, openArtifact, signatureName } from '../../../src/artifact/index.ts';
import { itself } from '../../../src/artifact/inner-path.ts';
import { pull } from '../../../src/artifact/mirror/pull.ts';
import { StoreCopy } from '../../../src/artifact/mirror/store-copy.ts';
import { type Store, StoreError } from '../../../src/artifact/stores/store.ts';

/** A sealed and signed artifact in a store of its own. */
export interface PlacedStore {
  readonly store: Store;
  /** As messages name the place, such as `s3://`. */
  readonly scheme: string;
  readonly place: string;
  /** By which it was signed. */
  readonly key: KeyObject;
  /** What lies below the place, by path. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Another file takes the place of one, behind the store's back; undefined takes it away. */
  change(path: string, bytes: Buffer | undefined): void;
  /** What no message may hold. */
  readonly secret: string;
  /** Its server is gone. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

const never = new AbortController().signal;
const large = 'model.safetensors';
const manifest = 'manifest.json';

export function storeCases(name: string, open: () => Promise<PlacedStore>): void {
  describe(name, () => {
    let placed: PlacedStore;
    beforeEach(async () => {
      placed = await open();
    });
    afterEach(() => placed.remove());

    /** A file's object, as the list of the whole place says. */
    async function objectOf(path: string) {
      const { store, place } = placed;
      const found = (await store.list(place, never)).find((object) => object.path === path);
      return { object: `${place}/${path}`, version: found!.version };
    }

    async function bytesOf(path: string, from: number) {
      const { object, version } = await objectOf(path);
      const { body, checksum } = await placed.store.read(object, { from, version, signal: never });
      return { bytes: await buffer(body), checksum };
    }

    it('lists what lies below a place, with sizes', async () => {
      const { store, place, files } = placed;
      const listed = await store.list(place, never);
      const sizes = (all: Iterable<readonly [string, number]>) =>
        [...all].filter(([path]) => path !== manifest && path !== signatureName).sort();
      expect(sizes(listed.map(({ path, sizeBytes }) => [path, sizeBytes]))).toEqual(
        sizes([...files].map(([path, { length }]) => [path, length])),
      );
    });

    it('lists one object as itself, and nothing where nothing is', async () => {
      const { store, place, files } = placed;
      expect(await store.list(`${place}/${large}`, never)).toMatchObject([
        { path: '', sizeBytes: files.get(large)!.length },
      ]);
      expect(await store.list(`${place}/none.safetensors`, never)).toEqual([]);
    });

    it.each([0, 1, 70_000, 99_999])('reads from byte %i to the end', async (from) => {
      const { bytes } = await bytesOf(large, from);
      expect(bytes.equals(placed.files.get(large)!.subarray(from))).toBe(true);
    });

    it("tells the whole object's checksum, from wherever it is read", async () => {
      const whole = placed.files.get(large)!;
      for (const from of [0, 70_000]) {
        const { checksum } = await bytesOf(large, from);
        expect(checksum).toEqual({ sha256: createHash('sha256').update(whole).digest('hex') });
      }
    });

    it('never passes other bytes off as the version that was listed', async () => {
      const { object, version } = await objectOf(large);
      const old = placed.files.get(large)!;
      const other = Buffer.from(old.map((byte) => byte ^ 1));
      placed.change(large, other);
      const read = placed.store.read(object, { from: 0, version, signal: never });
      const said = await read.then(
        async ({ body, checksum }) => ({ bytes: await buffer(body), checksum }),
        (error: unknown) => error,
      );
      if (said instanceof Error) expect(said).toMatchObject({ name: 'StoreError', reason: 'Changed' });
      else {
        const { bytes, checksum } = said as Awaited<ReturnType<typeof bytesOf>>;
        const found = createHash('sha256').update(bytes).digest('hex');
        expect(bytes.equals(old) || (checksum as { sha256: string }).sha256 !== found).toBe(true);
      }
    });

    it('says that an object is gone', async () => {
      const { object, version } = await objectOf(large);
      placed.change(large, undefined);
      const failure = await placed.store.read(object, { from: 0, version, signal: never }).catch((e) => e);
      expect(failure).toBeInstanceOf(StoreError);
      expect(failure).toMatchObject({ reason: expect.stringMatching(/^(Missing|Changed)$/) });
      expect(failure.message).toContain(`${placed.scheme}${object}`);
    });

    it('brings the signature where it is asked for: its owner’s is taken; another, a damaged one or none is not', async () => {
      const { store, place, scheme, key, files } = placed;
      // Behind the back of a store that knows checksums, it does not come at all.
      const refusal = (words: string) => new RegExp(`${words}|came with another (sha256|git blob id)`);
      const scratch = mkdtempSync(join(tmpdir(), 'offsite-signed-'));
      const copyOf = (path: string) =>
        new StoreCopy(scratch, {
          scheme: scheme.replace('://', '') as StoreScheme,
          place: `${place}${path}`,
          secret: undefined,
          parts: place.split('/').length,
        });
      const checked = async () => {
        for (const path of ['', `/${signatureName}`])
          await pull(store, copyOf(path), { signal: never, exact: true });
        const directory = copyOf('').fileOf(itself);
        const { digest, manifest } = openArtifact(directory);
        return checkSignature(directory, { digest, kind: manifest.kind }, [key]);
      };
      try {
        expect(await checked()).toBe(key);
        const own = files.get(signatureName)!;
        placed.change(signatureName, Buffer.from(own.toString().replace('"sig":"', '"sig":"AAAA')));
        await expect(checked()).rejects.toThrow(refusal('no signature in it is by this key'));
        placed.change(signatureName, Buffer.alloc(1 << 17, 0x20));
        await expect(checked()).rejects.toThrow(refusal('is longer than 65536 bytes'));
        placed.change(signatureName, undefined);
        await expect(checked()).rejects.toThrow('is not signed');
        placed.change(signatureName, own);
        expect(await checked()).toBe(key);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });

    it('stops when it is told to', async () => {
      const { store, place } = placed;
      const stopped = AbortSignal.abort();
      await expect(store.list(place, stopped)).rejects.toMatchObject({ name: 'AbortError' });
      const { object, version } = await objectOf(large);
      await expect(store.read(object, { from: 0, version, signal: stopped })).rejects.toMatchObject({
        name: 'AbortError',
      });
    });

    it('says that it is away, naming the place and no secret', async () => {
      const { store, place, scheme, secret } = placed;
      await placed.stop();
      const failure = await store.list(place, never).catch((error) => error);
      expect(failure).toMatchObject({ name: 'StoreError', reason: 'StoreUnavailable' });
      expect(failure.message).toContain(`${scheme}${place}`);
      expect(failure.message).not.toContain(secret);
    });
  });
}
