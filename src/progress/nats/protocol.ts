// What a NATS server may say on a connection, and how much of it at a time.
import type { ServerInfo } from 'nats';
import { z } from 'zod';

/** The greeting of a large cluster names all of its servers. */
const longestLine = 256 * 1024;
/** The answer about a stream names each of its subjects, 100,000 at most. */
const largestPayload = 64 << 20;

const newline = 10;

/** What the client relies on. */
const serverInfo = z.looseObject({
  version: z.string().regex(/\d+\.\d+\.\d+/),
  nonce: z.string().optional(),
  connect_urls: z.array(z.string().refine((url) => URL.canParse(`nats://${url}`))).optional(),
});

const isServerInfo = (value: unknown): value is ServerInfo => serverInfo.safeParse(value).success;

const delivery = /^(?:MSG [^ ]+ \d+ (?:[^ ]+ )?|HMSG [^ ]+ \d+ (?:[^ ]+ )?(?<headers>\d+) )(?<size>\d+)\r\n$/;

/**
 * Follows what a server says, piece by piece. The client's parser keeps a line or a payload whatever its length, and prints
 * what it does not understand.
 */
export class ServerProtocol {
  /** The line whose end has not come. */
  #line = '';
  /** Of the payload that comes, what has not come; undefined between payloads. */
  #payload: number | undefined;
  #info: ServerInfo | undefined;

  /** The latest greeting; undefined before it was heard to its end. */
  get info(): ServerInfo | undefined {
    return this.#info;
  }

  /** @returns whether a server may have said this, after what came before */
  accepts(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length; ) {
      if (this.#payload !== undefined && this.#payload > 0) {
        const count = Math.min(this.#payload, bytes.length - at);
        this.#payload -= count;
        at += count;
        continue;
      }
      const end = bytes.indexOf(newline, at);
      const next = end < 0 ? bytes.length : end + 1;
      if (this.#line.length + next - at > longestLine) return false;
      this.#line += Buffer.from(bytes.subarray(at, next)).toString('latin1');
      at = next;
      if (end < 0) break;
      if (!this.#acceptsLine(this.#line)) return false;
      this.#line = '';
    }
    return true;
  }

  #acceptsLine(line: string): boolean {
    if (this.#payload !== undefined) {
      this.#payload = undefined;
      return line === '\r\n';
    }
    if (/^(?:PING|PONG|\+OK|-ERR .*)\r\n$/.test(line)) return true;
    if (line.startsWith('INFO ')) return this.#acceptsInfo(line);
    const { size, headers = '0' } = delivery.exec(line)?.groups ?? {};
    if (size === undefined) return false;
    this.#payload = Number(size);
    return this.#payload <= largestPayload && Number(headers) <= this.#payload;
  }

  #acceptsInfo(line: string): boolean {
    try {
      const info: unknown = JSON.parse(line.slice('INFO '.length));
      if (!isServerInfo(info)) return false;
      this.#info = info;
      return true;
    } catch {
      return false;
    }
  }
}
