import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/** A TCP proxy that cuts connections: a network that breaks in the middle of a transfer. */
export class CuttingProxy {
  /** Bytes that went through, to the server and back. */
  sent = 0;
  received = 0;
  /** How many connections were cut. */
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #plan: { towards: 'server' | 'client'; afterBytes: number; times: number } | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<CuttingProxy> {
    const server = createServer();
    const proxy = new CuttingProxy(server);
    server.on('connection', (client) => proxy.#join(client, dial(port, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Cuts the next `times` connections that carry more than `afterBytes` one way. */
  cut(towards: 'server' | 'client', afterBytes: number, times: number): void {
    this.#plan = { towards, afterBytes, times };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to, towards] of [
      [client, server, 'server'],
      [server, client, 'client'],
    ] as const) {
      this.#sockets.add(from);
      let bytes = 0;
      from.on('data', (chunk) => {
        bytes += chunk.length;
        if (towards === 'server') this.sent += chunk.length;
        else this.received += chunk.length;
        const plan = this.#plan;
        if (plan !== undefined && plan.towards === towards && plan.times > 0 && bytes > plan.afterBytes) {
          plan.times--;
          this.cuts++;
          client.destroy();
          server.destroy();
          return;
        }
        if (!to.write(chunk)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
