import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Where this process looks: below the ports that the kernel gives to clients and to whoever asks for any, and below
 * Kubernetes' node ports, so that nobody else takes one between the look and its use. Processes look in different parts.
 */
const width = 40;
const first = 20_000 + (process.pid % 250) * width;
let looked = 0;

/** A port of loopback that nothing listens on right now. @throws where all that this process looks at are taken */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < width; tries++) {
    const port = first + (looked++ % width);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${first} to ${first + width - 1} is free`);
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
