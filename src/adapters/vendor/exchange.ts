import type { Socket } from 'node:net';
import type { ClientRequest, IncomingMessage } from 'node:http';
import decompressResponse from 'decompress-response';
import { VENDOR_BOUNDS } from '../../core/bounds.js';
import { limitTime } from './time-limits.js';
import type { Outgoing, Transport } from './transport.js';

/** One HTTP request, with what bounds it besides the limits of time that the transport keeps. */
export interface Exchange extends Outgoing {
  /** Limit for the body of a success, counted after decompression. */
  readonly maxBytes: number;
  /** Takes the body of a success in pieces, decompressed; none of it is kept here. Must not throw. @returns false to stop reading */
  readonly takeBody: (piece: Uint8Array) => boolean;
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
 * - `stopped`: whoever took the body wanted no more of it
 * - `cut`: the body broke off, or could not be decompressed
 * - `timeout`: no whole answer in time, though the request may have left
 * - `lost`: the connection broke after the request may have left, and before an answer
 * - `unsent`: nothing left this machine
 * - `aborted`: the caller's signal
 */
export interface Ending {
  readonly end: 'complete' | 'too-large' | 'stopped' | 'cut' | 'timeout' | 'lost' | 'unsent' | 'aborted';
  /** Whether the request may have left. When in doubt, true. */
  readonly sent: boolean;
  /** Null when no headers came. */
  readonly head: Head | null;
  /** Of an answer that is no success, decompressed; empty unless `end` is `complete`. */
  readonly body: Uint8Array;
  /** For people: the code of the network error (`ECONNREFUSED`), or why it was given up. */
  readonly note: string | null;
  /** Monotonic ms. */
  readonly sentAt: number;
  /** Monotonic ms. */
  readonly receivedAt: number;
}

/** Of an error's body only the code and a line of text are of use. */
const MAX_ERROR_BYTES = VENDOR_BOUNDS.error.most;

const NO_BYTES = new Uint8Array();

const TOO_LATE = 'none was ready before the request would have been too late';

/**
 * Carries out one HTTP request. Never rejects: every failure is an ending.
 *
 * The body is taken by the events of its stream: the iterator of a stream costs more than the rest of the reading.
 */
export function exchange(transport: Transport, outgoing: Exchange): Promise<Ending> {
  const { maxBytes, takeBody, sendBefore, signal } = outgoing;
  const sentAt = performance.now();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let sent = false;
  let head = null as Head | null;

  const ending = (end: Ending['end'], note: string | null = null): Ending => {
    const body = end === 'complete' ? joined(chunks, size) : NO_BYTES;
    return {
      end,
      sent,
      head,
      body,
      note,
      sentAt,
      receivedAt: performance.now(),
    };
  };
  const tooLate = (): boolean => sendBefore !== undefined && performance.now() >= sendBefore;

  if (signal?.aborted) return Promise.resolve(ending('aborted'));
  if (tooLate()) return Promise.resolve(ending('unsent', TOO_LATE));

  return new Promise((resolve) => {
    let request: ClientRequest;
    try {
      request = transport.open(outgoing);
    } catch (error) {
      resolve(ending('unsent', networkCodeOf(error)));
      return;
    }
    let body: IncomingMessage | undefined;
    let unsentTimer: NodeJS.Timeout | undefined;
    let settled = false;

    // The first ending counts. Others may follow while the request is torn down.
    const settle = (end: Ending['end'], note?: string | null): void => {
      if (settled) return;
      settled = true;
      clearTimeout(unsentTimer);
      stopLimits();
      signal?.removeEventListener('abort', giveUp);
      // A finished connection is kept alive; everything else takes its connection along.
      if (end !== 'complete') {
        request.destroy();
        body?.destroy();
      }
      resolve(ending(end, note));
    };
    const giveUp = (): void => settle('aborted');
    const stopUnsent = (): void => settle('unsent', TOO_LATE);
    const failed = (error: unknown): void => {
      const code = networkCodeOf(error);
      if (!sent) settle('unsent', code);
      else settle(head === null ? 'lost' : 'cut', code);
    };

    const stopLimits = limitTime(request, transport.encrypted, transport.limitsOf(outgoing.method), () => {
      if (sent) settle('timeout');
      else settle('unsent', 'ETIMEDOUT');
    });
    signal?.addEventListener('abort', giveUp);
    // From the beginning, because a proxy may let us wait before there is a socket.
    if (sendBefore !== undefined) unsentTimer = setTimeout(stopUnsent, sendBefore - performance.now());

    request.once('socket', (socket: Socket) => {
      // Node sends the request right after these events, and not at all if it has been given up in them.
      const ready = (): void => {
        if (tooLate()) return stopUnsent();
        clearTimeout(unsentTimer);
        sent = true;
      };
      if (!socket.connecting) return ready();
      socket.once(transport.encrypted ? 'secureConnect' : 'connect', ready);
    });

    request.once('response', (response: IncomingMessage) => {
      const { statusCode = 0, headers } = response;
      head = {
        status: statusCode,
        date: headers.date,
        retryAfter: headers['retry-after'],
        location: headers.location,
      };
      body = decompressResponse(response);
      response.on('error', failed);
      if (body !== response) body.on('error', failed);
      body.on('data', (chunk: Uint8Array) => {
        if (settled) return;
        size += chunk.length;
        if (size > (isSuccess(head) ? maxBytes : MAX_ERROR_BYTES)) settle('too-large');
        else if (!isSuccess(head)) chunks.push(chunk);
        else if (!takeBody(chunk)) settle('stopped');
      });
      body.once('end', () => settle('complete'));
    });

    // Not once: an error without a listener ends the process.
    request.on('error', failed);

    // The last event of a request without an answer, so that no way of ending leaves the caller waiting.
    request.once('close', () => {
      if (head === null) settle(sent ? 'lost' : 'unsent');
    });
  });
}

export const isSuccess = (head: Head | null): boolean => head !== null && head.status >= 200 && head.status < 300;

const joined = (chunks: readonly Uint8Array[], size: number): Uint8Array =>
  chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size);

/** Only codes such as `ECONNRESET`: messages of network errors may repeat what was sent. */
function networkCodeOf(error: unknown): string | null {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : null;
}
