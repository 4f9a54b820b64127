import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { got, type OptionsInit } from 'got';
import { proxyAuthorization, proxyFor, type Proxy } from '../../platform/http/proxy.js';
import { createTunnels } from '../../platform/http/tunnel.js';
import { parseHttpDate, parseRetryAfter } from '../../platform/http-times.js';
import { USER_AGENT } from '../../platform/version.js';

/** From before the connection to the head of the answer, ms. */
const LIMIT_MS = 10_000;

/** How a receiver took a message. Holds neither address nor anything the receiver said. */
export type Reception =
  | { readonly kind: 'accepted' }
  /** Any other answer; a redirect is one, because following it would carry the message elsewhere. */
  | { readonly kind: 'refused'; readonly status: number; readonly retryAfterMs: number | null }
  /** It may have arrived all the same. */
  | { readonly kind: 'unanswered'; readonly why: string };

/**
 * Sends one message. Never rejects, and nothing of got's errors gets out of here: they hold the address, which may be a
 * secret. Not repeated here: Temporal does that. Of the answer only the head is read.
 */
export const post = (url: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Reception> =>
  ask(url, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

/**
 * Whether anybody answers at the host of an address. Asks for its front page with HEAD, which by its definition does nothing; the
 * path, which may be a secret, is not sent.
 *
 * @returns null: somebody does; else why not, as in {@link Reception}
 */
export async function knock(url: string): Promise<string | null> {
  const answer = await ask(new URL('/', url).href, { method: 'HEAD', headers: {} });
  return answer.kind === 'unanswered' ? answer.why : null;
}

interface Asked {
  readonly method: 'POST' | 'HEAD';
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function ask(url: string, { headers, ...asked }: Asked): Promise<Reception> {
  let way: Way | null = null;
  try {
    const through = (way = wayTo(url)).options;
    return await new Promise<Reception>((resolve, reject) => {
      const stream = got.stream(url, {
        ...asked,
        headers: { 'user-agent': USER_AGENT, ...headers },
        retry: { limit: 0 },
        followRedirect: false,
        throwHttpErrors: false,
        timeout: { request: LIMIT_MS },
        ...through,
      });
      stream.once('error', reject);
      stream.once('response', ({ statusCode = 0, headers: head }: IncomingMessage) => {
        // What comes after the head interests nobody, and has no end that we know of.
        stream.on('error', () => {});
        stream.destroy();
        const accepted = statusCode >= 200 && statusCode < 300;
        const serverNowMs = parseHttpDate(head.date) ?? Date.now();
        const retryAfterMs = parseRetryAfter(head['retry-after'], serverNowMs);
        resolve(accepted ? { kind: 'accepted' } : { kind: 'refused', status: statusCode, retryAfterMs });
      });
    });
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    // Only codes such as ECONNREFUSED: messages of network errors repeat the address.
    const known = typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code);
    return { kind: 'unanswered', why: known ? code : 'unknown error' };
  } finally {
    way?.close();
  }
}

interface Way {
  readonly options: Pick<OptionsInit, 'agent' | 'request'>;
  close(): void;
}

/** Straight there, or through a proxy: in a tunnel to https, and else by a request that names the whole address. */
function wayTo(url: string): Way {
  const proxy = proxyFor(url);
  if (proxy === null) return { options: {}, close: () => {} };
  if (new URL(url).protocol === 'https:') {
    const https = createTunnels(proxy, LIMIT_MS, {});
    return { options: { agent: { https } }, close: () => https.destroy() };
  }
  return {
    options: { request: (target, options) => requestBy(proxy, target, options) },
    close: () => {},
  };
}

function requestBy(proxy: Proxy, target: URL, { method, headers }: RequestOptions): ReturnType<typeof httpRequest> {
  const authorization = proxyAuthorization(proxy);
  const send = proxy.url.protocol === 'https:' ? httpsRequest : httpRequest;
  return send({
    ...{ host: proxy.url.hostname.replace(/^\[|\]$/g, ''), port: proxy.url.port, method, path: target.href },
    headers: {
      ...headers,
      host: target.host,
      ...(authorization === undefined ? {} : { 'proxy-authorization': authorization }),
    },
  });
}
