import type { Socket } from 'node:net';
import type { Agent as HttpAgent, ClientRequest, IncomingMessage } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { got, TimeoutError } from 'got';

/** One HTTP request. */
export interface Exchange {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  /** A POST carries an empty JSON object. */
  readonly headers: Readonly<Record<string, string>>;
  readonly agent: { readonly http: HttpAgent; readonly https: HttpsAgent };
  /** Limit for each of: name lookup, TCP connection, TLS handshake. */
  readonly connectMs: number;
  /** Limit for the whole, from before the connection to the last byte of the answer. */
  readonly totalMs: number;
  /** Limit for the body of a success, counted after decompression. */
  readonly maxBytes: number;
  /** Monotonic ms: when nothing could be sent by then, nothing is sent any more. */
  readonly sendBefore?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the headers of an answer told. */
export interface Head {
  readonly status: number;
  readonly date: string | undefined;
  readonly retryAfter: string | undefined;
  readonly location: string | undefined;
}

/**
 * How an exchange ended, as seen from the network.
 *
 * - `complete`: the whole answer is there
 * - `too-large`: its body went over the limit, and reading stopped there
 * - `cut`: the body broke off, or could not be decompressed
 * - `timeout`: no whole answer in time, though the request may have left
 * - `lost`: the connection broke after the request may have left, and before an answer
 * - `unsent`: nothing left this machine
 * - `aborted`: the caller's signal
 */
export interface Ending {
  readonly end: 'complete' | 'too-large' | 'cut' | 'timeout' | 'lost' | 'unsent' | 'aborted';
  /** Whether the request may have left. When in doubt, true. */
  readonly sent: boolean;
  /** Null when no headers came. */
  readonly head: Head | null;
  /** Decompressed; empty unless `end` is `complete`. */
  readonly body: Uint8Array;
  /** For people: the code of the network error (`ECONNREFUSED`), or why it was given up. */
  readonly note: string | null;
  /** Monotonic ms. */
  readonly sentAt: number;
  /** Monotonic ms. */
  readonly receivedAt: number;
}

/** Of an error's body only the code and a line of text are of use. */
const MAX_ERROR_BYTES = 64 * 1024;

const TOO_LATE = 'none was ready before the request would have been too late';

/**
 * Carries out one HTTP request. Never rejects: every failure is an ending, and nothing of got's errors, which hold the
 * headers, gets out of here. got neither retries (Temporal does) nor follows redirects (they would carry the key along).
 *
 * The body is read from got's stream, because got's own buffering has no limit of size.
 */
export async function exchange(options: Exchange): Promise<Ending> {
  const sentAt = performance.now();
  const { url, method, signal, maxBytes, sendBefore } = options;
  const chunks: Uint8Array[] = [];
  let size = 0;
  let sent = false;
  let head = null as Head | null;
  const givenUp = (): boolean => signal?.aborted ?? false;

  const ending = (end: Ending['end'], note: string | null = null): Ending => {
    const body = end === 'complete' ? Buffer.concat(chunks, size) : new Uint8Array();
    return { end, sent, head, body, note, sentAt, receivedAt: performance.now() };
  };
  if (givenUp()) return ending('aborted');
  if (sendBefore !== undefined && sentAt >= sendBefore) return ending('unsent', TOO_LATE);

  const stream = got.stream(url, {
    method,
    headers: options.headers,
    ...(method === 'POST' ? { json: {} } : {}),
    ...(signal === undefined ? {} : { signal }),
    agent: options.agent,
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    timeout: {
      lookup: options.connectMs,
      connect: options.connectMs,
      secureConnect: options.connectMs,
      request: options.totalMs,
    },
  });
  // The loop below sees the first error. Others may follow while the stream is torn down, and must not end the process.
  stream.on('error', () => {});

  let tooLate = false;
  const stopUnsent = (): void => {
    tooLate = true;
    stream.destroy();
  };
  const unsentTimer = sendBefore === undefined ? undefined : setTimeout(stopUnsent, sendBefore - sentAt);
  stream.once('request', (request: ClientRequest) => {
    onceReady(request, url.protocol === 'https:', () => {
      sent = true;
      clearTimeout(unsentTimer);
    });
  });
  stream.once('response', ({ statusCode = 0, headers }: IncomingMessage) => {
    head = {
      status: statusCode,
      date: headers.date,
      retryAfter: headers['retry-after'],
      location: headers.location,
    };
  });

  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      chunks.push(chunk);
      if (size > (isSuccess(head) ? maxBytes : MAX_ERROR_BYTES)) return ending('too-large');
    }
    return ending('complete');
  } catch (error) {
    const code = networkCodeOf(error);
    if (givenUp()) return ending('aborted');
    if (tooLate) return ending('unsent', TOO_LATE);
    if (!sent) return ending('unsent', code);
    if (error instanceof TimeoutError) return ending('timeout');
    return ending(head === null ? 'lost' : 'cut', code);
  } finally {
    clearTimeout(unsentTimer);
    // got does not do so after a success, and would leave its listener on the signal. A finished connection is kept alive.
    stream.destroy();
  }
}

export const isSuccess = (head: Head | null): boolean => head !== null && head.status >= 200 && head.status < 300;

/** Calls back when the request's bytes can leave: at once on a connection in use, else when it is up, and encrypted. */
function onceReady(request: ClientRequest, encrypted: boolean, ready: () => void): void {
  request.once('socket', (socket: Socket) => {
    if (socket.connecting) socket.once(encrypted ? 'secureConnect' : 'connect', ready);
    else ready();
  });
}

/** Only codes such as `ECONNRESET`: messages of network errors may repeat what was sent. */
function networkCodeOf(error: unknown): string | null {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : null;
}
