import type { ClientRequest } from 'node:http';
import type { Socket } from 'node:net';

/** How long a request may take, ms. */
export interface TimeLimits {
  /** Each of: name lookup, TCP connection, TLS handshake. */
  readonly connectMs: number;
  /** From before the connection to the last byte of the answer. */
  readonly wholeMs: number;
}

/**
 * Watches over the time of a request that was just begun.
 *
 * @param expired - called once at most
 * @returns ends the watch
 */
export function limitTime(
  request: ClientRequest,
  encrypted: boolean,
  { connectMs, wholeMs }: TimeLimits,
  expired: () => void,
): () => void {
  let over = false;
  let connecting: NodeJS.Timeout | undefined;

  /** What came while the event loop was busy with something else is taken in first: it was not late. */
  const unless = (overtaken: () => boolean): void => {
    setImmediate(() => {
      if (over || overtaken()) return;
      stop();
      expired();
    });
  };
  const whole = setTimeout(() => unless(() => false), wholeMs);
  const stop = (): void => {
    over = true;
    clearTimeout(whole);
    clearTimeout(connecting);
  };

  request.once('socket', (socket: Socket) => {
    if (!socket.connecting || over) return;
    let step = 0;
    const connected = (): void => {
      step += 1;
      clearTimeout(connecting);
    };
    const next = (): void => {
      connected();
      const mine = step;
      if (!over) connecting = setTimeout(() => unless(() => step !== mine), connectMs);
    };
    next();
    socket.once('lookup', next);
    socket.once('connect', encrypted ? next : connected);
    if (encrypted) socket.once('secureConnect', connected);
  });
  return stop;
}
