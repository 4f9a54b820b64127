import type { Agent, AgentOptions } from 'node:https';
import type { Socket } from 'node:net';
import { HttpsProxyAgent } from 'hpagent';
import type { Proxy } from './proxy.js';

type Connected = (error: Error | null, socket?: Socket) => void;
/** Not in the types of Node.js: an agent may hand its connection over later. */
interface LateAgent {
  createConnection(options: object, connected: Connected): void;
}

/** Why there is no tunnel; its code says more than a message, which could repeat what was sent. */
class TunnelError extends Error {
  constructor(readonly code: string) {
    super(code);
  }
}

/**
 * Connections to https servers through a proxy (CONNECT): the proxy sees host and port, and then only what is encrypted.
 *
 * One is handed over only when it is encrypted up to the server. From then on a request leaves at once, as on a connection that
 * was kept; before that, none of it does.
 *
 * @param connectMs - limit for each of: the proxy's answer, and the TLS handshake with the server
 */
export function createTunnels(proxy: Proxy, connectMs: number, pool: AgentOptions): Agent {
  const agent = new HttpsProxyAgent({
    ...pool,
    rejectUnauthorized: true,
    proxy: proxy.url,
    proxyRequestOptions: { rejectUnauthorized: true },
  });
  const late = agent as unknown as LateAgent;
  const connect = late.createConnection.bind(agent);
  late.createConnection = (options, connected) => {
    connect({ ...options, timeout: connectMs }, (error, socket) => {
      if (error !== null || socket === undefined) return connected(new TunnelError(codeOf(error)));
      const timer = setTimeout(() => socket.destroy(new TunnelError('ETIMEDOUT')), connectMs);
      const over = (failure: Error | null): void => {
        clearTimeout(timer);
        socket.off('secureConnect', secure).off('error', over).off('close', closed);
        if (failure === null) connected(null, socket);
        else connected(failure);
      };
      const secure = (): void => over(null);
      const closed = (): void => over(new TunnelError('ECONNRESET'));
      socket.on('secureConnect', secure).on('error', over).on('close', closed);
    });
  };
  return agent;
}

/** Of the proxy, not of the server behind it. */
function codeOf(error: unknown): string {
  const { message = '', code = 'FAILED' } = (error ?? {}) as { message?: string; code?: string };
  const status = /^Bad response: (\d{3})$/.exec(message)?.[1];
  if (status !== undefined) return `PROXY_ANSWERED_${status}`;
  return message === 'Proxy timeout' ? 'PROXY_TIMEOUT' : `PROXY_${code}`;
}
