import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { got, type Got, type Request } from 'got';
import type { Proxy } from '../../platform/http/proxy.js';
import { createTunnels } from '../../platform/http/tunnel.js';

export interface TransportSettings {
  /** Checked, without a trailing slash. */
  readonly baseUrl: string;
  /** What https requests go through; null: straight to the server. */
  readonly proxy: Proxy | null;
  /** Certificates of the authorities to trust instead of those that Node.js trusts. Default none. */
  readonly ca?: string;
  /** Header `user-agent`. */
  readonly userAgent: string;
  /** Limit for each of: name lookup, TCP connection, TLS handshake. */
  readonly connectMs: number;
  /** Limit for a whole GET, from before the connection to the last byte of the answer. */
  readonly readMs: number;
  /** The same for a POST. */
  readonly cancelMs: number;
}

/** One request, as far as requests of a client differ. */
export interface Outgoing {
  readonly method: 'GET' | 'POST';
  /** What follows the base URL: encoded path, beginning with a slash, and query. */
  readonly path: string;
  /** Headers that hold the key. */
  readonly authentication: Readonly<Record<string, string>>;
}

/** Makes the requests of one client, over connections that it keeps. */
export interface Transport {
  readonly encrypted: boolean;
  /** Begins a request. A POST carries an empty JSON object. got's stream tells how it ends. */
  open(outgoing: Outgoing): Request;
  /** Closes all connections; requests under way fail. */
  close(): void;
}

/** got with everything but the path, for the headers that were used last. */
type Prepared = Readonly<Record<Outgoing['method'], Got>> & Pick<Outgoing, 'authentication'>;

/**
 * Idle connections are closed by us before common servers (5 s and up) do it: a cancel request that meets a closing
 * connection has an unknown outcome. A server that announces a shorter time is obeyed by Node.
 */
const IDLE_CONNECTION_MS = 4_000;

/**
 * All that is the same for every request is handed to got once: merging and checking options is a good part of what a small
 * request costs. got neither retries (Temporal does) nor follows redirects (they would carry the key along).
 */
export function createTransport(settings: TransportSettings): Transport {
  const { hostname, port, protocol } = urlToHttpOptions(new URL(settings.baseUrl));
  const encrypted = protocol === 'https:';
  // Without a limit of connections: a request that waits for one would leave later than its caller decided.
  // The latest connection first, because it is the least likely to be closing.
  const pool = { keepAlive: true, scheduling: 'lifo', timeout: IDLE_CONNECTION_MS } as const;
  // Certificates are checked whatever NODE_TLS_REJECT_UNAUTHORIZED says.
  const secure = { ...pool, rejectUnauthorized: true, ...(settings.ca === undefined ? {} : { ca: settings.ca }) };
  const agent = !encrypted
    ? new HttpAgent(pool)
    : settings.proxy === null
      ? new HttpsAgent(secure)
      : createTunnels(settings.proxy, settings.connectMs, secure);
  const send = encrypted ? httpsRequest : httpRequest;

  const connecting = { lookup: settings.connectMs, connect: settings.connectMs, secureConnect: settings.connectMs };
  const common = got.extend({
    headers: { accept: 'application/json', 'user-agent': settings.userAgent },
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    // got would hand Node some forty options, nearly all of them undefined, which Node copies three times for each request.
    request: ({ pathname, search }, { method, headers }) =>
      send({ hostname, port, path: pathname + search, method, headers, agent }),
  });

  const prepare = (authentication: Outgoing['authentication']): Prepared => {
    const headers = { ...authentication };
    const read = { ...connecting, request: settings.readMs };
    const cancel = { ...connecting, request: settings.cancelMs };
    return {
      authentication: headers,
      GET: common.extend({ headers, timeout: read }),
      POST: common.extend({ headers, timeout: cancel, method: 'POST', json: {} }),
    };
  };
  let prepared = prepare({});

  return {
    encrypted,

    open({ method, path, authentication }) {
      // Credentials seldom change, but at any time.
      if (!sameHeaders(authentication, prepared.authentication)) prepared = prepare(authentication);
      return prepared[method].stream(settings.baseUrl + path);
    },

    close() {
      agent.destroy();
    },
  };
}

function sameHeaders(one: Outgoing['authentication'], other: Outgoing['authentication']): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
