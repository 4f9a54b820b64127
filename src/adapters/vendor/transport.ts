import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import type { Proxy } from '../../platform/http/proxy.js';
import { createTunnels } from '../../platform/http/tunnel.js';
import type { TimeLimits } from './time-limits.js';

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
  /**
   * Begins a request. A POST carries an empty JSON object. Its events tell how it ends; nothing but {@link Transport.limitsOf} says when.
   *
   * @throws what Node.js says of a path or a header that can't be sent: nothing was sent then
   */
  open(outgoing: Outgoing): ClientRequest;
  /** What bounds such a request in time. */
  limitsOf(method: Outgoing['method']): TimeLimits;
  /** Closes all connections; requests under way fail. */
  close(): void;
}

/** Headers of each kind of request, for the credentials that were used last. */
type Prepared = Readonly<Record<Outgoing['method'], OutgoingHttpHeaders>> & Pick<Outgoing, 'authentication'>;

/**
 * Idle connections are closed by us before common servers (5 s and up) do it: a cancel request that meets a closing
 * connection has an unknown outcome. A server that announces a shorter time is obeyed by Node.
 */
const IDLE_CONNECTION_MS = 4_000;

const EMPTY_OBJECT = '{}';

/**
 * Requests by Node's own client: bulk jobs send thousands a second, and got on top of it cost four times as much as the request
 * itself. Nothing is retried (Temporal does that), and no redirect is followed (it would carry the key along).
 */
export function createTransport(settings: TransportSettings): Transport {
  const url = new URL(settings.baseUrl);
  const { hostname, port, protocol } = urlToHttpOptions(url);
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
  const base = url.pathname === '/' ? '' : url.pathname;
  const { connectMs } = settings;
  const limits = {
    GET: { connectMs, wholeMs: settings.readMs },
    POST: { connectMs, wholeMs: settings.cancelMs },
  };

  const prepare = (authentication: Outgoing['authentication']): Prepared => {
    const common = {
      ...{ accept: 'application/json', 'accept-encoding': 'gzip, deflate, br', 'user-agent': settings.userAgent },
      ...authentication,
    };
    const body = { 'content-type': 'application/json', 'content-length': EMPTY_OBJECT.length };
    return { authentication: { ...authentication }, GET: common, POST: { ...common, ...body } };
  };
  let prepared = prepare({});

  return {
    encrypted,
    limitsOf: (method) => limits[method],

    open({ method, path, authentication }) {
      // Credentials seldom change, but at any time.
      if (!sameHeaders(authentication, prepared.authentication)) prepared = prepare(authentication);
      const request = send({ hostname, port, path: base + path, method, headers: prepared[method], agent });
      request.end(method === 'POST' ? EMPTY_OBJECT : undefined);
      return request;
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
