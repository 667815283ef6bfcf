import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/**
 * Where this process looks: below the ports that the kernel gives to clients and to whoever asks for any, and below
 * Kubernetes' node ports, so that nobody else takes one between the look and its use. Each process looks in a part of its
 * own, whose first port it listens on for as long as it runs: pids come again, also while others run.
 */
const first = 20_000;
const width = 40;
const parts = 250;
let part: Promise<number> | undefined;
let looked = 0;

/** A port of loopback that nothing listens on right now. @throws where all that this process looks at are taken */
export async function freePort(): Promise<number> {
  part ??= takePart(process.pid);
  const own = await part;
  for (let tries = 1; tries < width; tries++) {
    const port = own + 1 + (looked++ % (width - 1));
    const server = await listening(port);
    if (server === undefined) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`no port from ${own + 1} to ${own + width - 1} is free`);
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** The first port of a part that no other process has, from this number's on. @throws where there is none */
export async function takePart(number: number): Promise<number> {
  for (let tries = 0; tries < parts; tries++) {
    const port = first + ((number + tries) % parts) * width;
    const server = await listening(port);
    if (server === undefined) continue;
    server.unref();
    return port;
  }
  throw new Error(`${parts} processes look for ports already`);
}

async function listening(port: number): Promise<Server | undefined> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
    return server;
  } catch {
    return undefined;
  }
}
