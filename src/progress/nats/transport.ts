// The client's connections, by which a server can neither hold this process nor fill its memory.
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, type NatsConnection, NatsError, type ServerInfo } from 'nats';
import { NatsConnectionImpl, setTransportFactory } from 'nats/lib/src/nats-base-client.js';
import { NodeTransport, nodeResolveHost } from 'nats/lib/src/node_transport.js';
import { ServerProtocol } from './protocol.ts';

/** As the client's own `connect`, whose connections end where a server says what none says. */
export function connect(options: ConnectionOptions): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new BoundedTransport(), dnsResolveFn: nodeResolveHost });
  return NatsConnectionImpl.connect(options);
}

/** What a server says is read for so long, in ms; then it is for as long the turn of all else. */
const longestTurn = 20;
/** Of the smallest words so many take a few milliseconds. */
const pieceBytes = 4096;

class BoundedTransport extends NodeTransport {
  #isLeft = false;

  override async dial(address: { hostname: string; port: number }): Promise<Socket> {
    const socket = await super.dial(address);
    if (!this.#isLeft) return socket;
    socket.destroy();
    throw new NatsError('it was given up meanwhile', 'TIMEOUT');
  }

  /** The client's own looks for the line's end in all that came, again with each piece. */
  override peekInfo(): Promise<ServerInfo> {
    const { promise, resolve, reject } = Promise.withResolvers<ServerInfo>();
    const { socket } = this;
    const said = new ServerProtocol();
    const leave = () => socket.removeAllListeners();
    socket.on('data', (bytes) => {
      this.yields.push(bytes);
      if (!said.accepts(bytes)) reject(violation());
      else if (said.info === undefined) return;
      else resolve(said.info);
      leave();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      leave();
      reject(new NatsError('closed before its greeting', 'DISCONNECT'));
    });
    return promise;
  }

  override async *iterate(): AsyncIterableIterator<Uint8Array> {
    const said = new ServerProtocol();
    let busy = 0;
    try {
      for await (const bytes of super.iterate()) {
        for (let at = 0; at < bytes.length; at += pieceBytes) {
          const piece = bytes.subarray(at, at + pieceBytes);
          const begun = performance.now();
          if (!said.accepts(piece)) return;
          yield piece;
          busy += performance.now() - begun;
          if (busy < longestTurn && !this.#waits) continue;
          await this.#rest(busy);
          busy = 0;
        }
      }
    } finally {
      // Nobody reads it any more: the client connects anew.
      this.socket?.destroy(violation());
    }
  }

  /** Whether the server leaves unread what it was told: what it asks for more would fill the memory. */
  get #waits(): boolean {
    return this.socket?.writableNeedDrain === true;
  }

  async #rest(milliseconds: number): Promise<void> {
    this.socket?.pause();
    do await sleep(Math.max(1, milliseconds));
    while (this.#waits);
    this.socket?.resume();
  }

  /** The client's own leaves a connection open that was given up before it stood, and goes on reading it. */
  override async close(error?: Error): Promise<void> {
    this.#isLeft = true;
    if (!this.connected) this.socket?.destroy();
    await super.close(error);
  }
}

const violation = () => new NatsError('this is no NATS server, or it sends too much at once', 'NOT_NATS');
