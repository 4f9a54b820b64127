import { createServer } from 'node:net';

/** Below what systems take for outgoing connections: Linux from 32768 on, macOS and Windows from 49152 on. */
const STEADY_PORTS = { from: 10_000, to: 32_000 };

/** A port of 127.0.0.1 that is free now. Somebody else may take it before its user does. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await bind(0);
    if (port !== null) return port;
  }
}

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
export async function isFree(port: number): Promise<boolean> {
  return (await bind(port)) !== null;
}

/** Binds a loopback port for a moment. @returns the port; null when it is taken or not allowed */
async function bind(port: number): Promise<number | null> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? null) : null));
    });
  });
}
