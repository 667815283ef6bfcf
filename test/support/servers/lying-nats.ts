import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

const greeting =
  'INFO {"server_id":"x","version":"2.12.0","proto":1,"max_payload":1048576,"headers":true}\r\n';

/** What it says without end to everyone, or to whom it has greeted and who has asked. */
const lies = {
  'a greeting without an end': { begin: 'INFO {"server_id":"', more: 'x', greets: 0 },
  'a greeting without an end when it is back': { begin: 'INFO {"server_id":"', more: 'x', greets: 1 },
  'a line without an end': { begin: "-ERR '", more: 'x', greets: Number.POSITIVE_INFINITY },
  'PING without end': { begin: '', more: 'PING\r\n', greets: Number.POSITIVE_INFINITY },
};

export type Lie = keyof typeof lies;
export const everyLie = Object.keys(lies) as Lie[];

/** A server on loopback that speaks NATS to hold who listens. @returns its address and how to end it */
export async function lyingNats(lie: Lie): Promise<{ url: string; close: () => void }> {
  const { begin, more, greets } = lies[lie];
  const block = more.repeat(Math.ceil(65536 / more.length));
  const open = new Set<Socket>();
  const tell = async (socket: Socket) => {
    socket.write(begin);
    while (!socket.destroyed) {
      if (socket.write(block)) await nextTurn();
      else await once(socket, 'drain').catch(() => undefined);
    }
  };
  let connections = 0;
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    connections += 1;
    if (connections > greets) return void tell(socket);
    socket.write(greeting);
    socket.on('data', (bytes) => {
      const said = bytes.toString('latin1');
      if (said.includes('PING\r\n')) socket.write('PONG\r\n');
      if (!said.includes('SUB ')) return;
      if (Number.isFinite(greets)) socket.destroy();
      else void tell(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it has no port');
  const close = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return { url: `nats://127.0.0.1:${address.port}`, close };
}
