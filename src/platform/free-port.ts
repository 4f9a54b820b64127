import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** Below what systems take for outgoing connections: Linux from 32768 on, macOS and Windows from 49152 on. */
const STEADY_PORTS = { from: 10_000, to: 32_000 };

/** A port of 127.0.0.1 that is free now. Somebody else may take it before its user does. */
export const freePort = (): Promise<number> => bind(0);

/**
 * A free port for an address that has to stay: while its server is away, for a restart, no outgoing connection of another
 * program gets that port by chance.
 */
export async function steadyPort(): Promise<number> {
  const { from, to } = STEADY_PORTS;
  for (;;) {
    const port = from + Math.floor(Math.random() * (to - from));
    if (await isFree(port)) return port;
  }
}

/** Whether a server could listen on this port of 127.0.0.1 now. */
export const isFree = (port: number): Promise<boolean> =>
  bind(port).then(
    () => true,
    () => false,
  );

/** Binds a loopback port for a moment; 0 is any. @throws {Error} when it is taken or not allowed */
async function bind(port: number): Promise<number> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const { port: bound } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return bound;
}
