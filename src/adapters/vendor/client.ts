import { VENDOR_BOUNDS } from '../../core/bounds.js';
import { UserError } from '../../core/errors.js';
import { proxyFor } from '../../platform/http/proxy.js';
import { checkBaseUrl } from './base-url.js';
import type { Credentials } from './credentials.js';
import { SessionsError, type SessionsOperation } from './errors.js';
import { isSuccess, type Ending } from './exchange.js';
import { translate, type CallContext, type Trouble } from './failures.js';
import { ID_RULE, isSessionId } from '../../core/ids.js';
import { parseHttpDate } from '../../platform/http-times.js';
import { templateOf, tracedExchange } from './traced-exchange.js';
import { createTransport } from './transport.js';
import type { Answer, CancelOptions, SessionsClient } from './types.js';
import {
  readAgentPage,
  readCancelAnswer,
  readQueue,
  readSessionPage,
  readTeamPage,
  readTriggerPage,
  sessionReader,
  UnreadableAnswer,
  wholeJson,
  type BodyReader,
} from './wire.js';

export interface SessionsClientOptions {
  /** Address of the API, ending in its version: `https://api.gumloop.com/api/v1`. */
  readonly baseUrl: string;
  readonly credentials: Credentials;
  /** Header `user-agent`: product and version. */
  readonly userAgent: string;
  readonly timeouts?: {
    /** Limit for each of name lookup, TCP connection and TLS handshake. Default 10,000. */
    readonly connectMs?: number;
    /** Limit for a whole read, body included. Default 30,000. */
    readonly readMs?: number;
    /** Limit for a whole cancel request. Default 100,000: the vendor's budget is 90 s, and giving up earlier loses answers. */
    readonly cancelMs?: number;
  };
  /**
   * Limit for the body of an answer after decompression. Default 8 MiB. A session with its transcript is read in pieces, and
   * bounded by time alone.
   */
  readonly maxResponseBytes?: number;
  /** Accept `http:` to hosts other than this machine, where the key can be read on the way. Default false. */
  readonly allowPlainHttp?: boolean;
  /** Told of each request that was begun, when it is over. Must not throw. Default: nobody. */
  readonly onRequest?: (request: FinishedRequest) => void;
}

/** A request that was begun, and is over. */
export interface FinishedRequest {
  readonly operation: SessionsOperation;
  /** Monotonic ms (`performance.now()`) just before sending. */
  readonly sentAt: number;
  /** From before the connection to the last byte of the answer. */
  readonly tookMs: number;
  /** Null: it was answered as it should. */
  readonly error: SessionsError | null;
}

/** A client that holds connections open until it is closed. */
export interface OpenSessionsClient extends SessionsClient {
  /** Closes all connections; calls under way fail. */
  close(): void;
}

interface Call<T> {
  readonly operation: SessionsOperation;
  /** Id of the session or agent that the call is about. */
  readonly subject: string | null;
  readonly method: 'GET' | 'POST';
  /** Segments behind the base URL, not yet encoded. */
  readonly path: readonly string[];
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly options: CancelOptions | undefined;
  /** A new reader of the answer's body. */
  readonly reader: () => BodyReader<T>;
}

interface CarefulReader<T> {
  /** @returns false when no more can be made of it */
  readonly take: (piece: Uint8Array) => boolean;
  readonly end: () => { readonly value: T } | { readonly why: string };
}

/** A reader that never throws: it is called from the events of a stream. */
function carefully<T>(reader: BodyReader<T>): CarefulReader<T> {
  let why: string | null = null;
  const attempt = <R>(work: () => R): R | null => {
    if (why !== null) return null;
    try {
      return work();
    } catch (error) {
      why = error instanceof UnreadableAnswer ? error.message : 'it has an unknown form';
      return null;
    }
  };
  return {
    take: (piece) => {
      attempt(() => reader.write(piece));
      return why === null;
    },
    end: () => attempt(() => ({ value: reader.end() })) ?? { why: why ?? '' },
  };
}

const TRIGGER_PAGE_SIZE = 100;

const BAD_ID = `nothing was sent, because an id has ${ID_RULE}`;

/**
 * The client of the vendor's API. Every call is one HTTP request, bounded in time and size, that either answers or fails with a
 * `SessionsError`; the key is in the request's header and nowhere else.
 *
 * Goes through the proxy that the environment names for its address.
 *
 * @throws {UserError} when the base URL, or the proxy, is no usable address
 */
export function createSessionsClient(settings: SessionsClientOptions): OpenSessionsClient {
  const { credentials, userAgent, maxResponseBytes = VENDOR_BOUNDS.answer.most, onRequest = () => {} } = settings;
  const { connectMs = 10_000, readMs = 30_000, cancelMs = 100_000 } = settings.timeouts ?? {};
  const baseUrl = checkBaseUrl(settings.baseUrl, settings.allowPlainHttp ?? false);
  const transport = createTransport({ baseUrl, proxy: proxyFor(baseUrl), userAgent, connectMs, readMs, cancelMs });

  function pathOf({ path, query }: Call<unknown>): string {
    const encoded = `/${path.map(encodeURIComponent).join('/')}`;
    if (query === undefined && credentials.teamId === null) return encoded;
    const parameters = new URLSearchParams();
    if (credentials.teamId !== null) parameters.set('team_id', credentials.teamId);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) parameters.set(name, String(value));
    }
    const text = parameters.toString();
    return text === '' ? encoded : `${encoded}?${text}`;
  }

  async function perform<T>(call: Call<T>): Promise<Answer<T>> {
    const context: CallContext = {
      operation: call.operation,
      subject: call.subject,
      redact: (text) => credentials.redact(text),
    };
    const failed = (trouble: Trouble) => translate(trouble, context);

    // An id that would lead to another path must never be sent.
    if (call.subject !== null && !isSessionId(call.subject)) {
      throw failed({ type: 'refused', kind: 'bad-request', why: BAD_ID });
    }
    let authentication: Record<string, string>;
    try {
      authentication = await credentials.headers();
    } catch (error) {
      const why = error instanceof UserError ? `${error.message} ${error.next}` : '';
      throw failed({ type: 'refused', kind: 'no-credential', why });
    }
    const body = carefully(call.reader());
    const ending = await tracedExchange(transport, templateOf(call), {
      method: call.method,
      path: pathOf(call),
      authentication,
      maxBytes: call.operation === 'retrieveSession' ? Infinity : maxResponseBytes,
      takeBody: body.take,
      sendBefore: call.options?.sendBefore,
      signal: call.options?.signal,
    });
    const { operation } = call;
    const { sentAt, receivedAt } = ending;
    const finished = (error: SessionsError | null): void =>
      onRequest({ operation, sentAt, tookMs: receivedAt - sentAt, error });
    try {
      const answer = answerOf(body, ending, failed);
      finished(null);
      return answer;
    } catch (error) {
      if (error instanceof SessionsError) finished(error);
      throw error;
    }
  }

  /** @throws {SessionsError} when there is no answer, or it says no, or nobody can read it */
  function answerOf<T>(body: CarefulReader<T>, ending: Ending, failed: (trouble: Trouble) => SessionsError): Answer<T> {
    const { head, end } = ending;
    if (head === null || !isSuccess(head) || (end !== 'complete' && end !== 'stopped')) {
      throw failed({ type: 'ending', ending });
    }
    const read = body.end();
    if ('why' in read) throw failed({ type: 'unreadable', ending, why: read.why });
    return {
      value: read.value,
      status: head.status,
      serverDateMs: parseHttpDate(head.date),
      sentAt: ending.sentAt,
      receivedAt: ending.receivedAt,
    };
  }

  return {
    teamId: credentials.teamId,

    listTeams(options) {
      return perform({
        operation: 'listTeams',
        subject: null,
        method: 'GET',
        path: ['teams'],
        query: { cursor: options?.cursor },
        options,
        reader: () => wholeJson(readTeamPage),
      });
    },

    listAgents(options) {
      return perform({
        operation: 'listAgents',
        subject: null,
        method: 'GET',
        path: ['agents'],
        query: { team_id: options?.teamId, page_size: options?.pageSize, cursor: options?.cursor },
        options,
        reader: () => wholeJson((json) => readAgentPage(json, options?.pageSize)),
      });
    },

    listSessions(agentId, options) {
      return perform({
        operation: 'listSessions',
        subject: agentId,
        method: 'GET',
        path: ['agents', agentId, 'sessions'],
        query: {
          state: options?.state,
          page_size: options?.pageSize,
          cursor: options?.cursor,
          creator_user_id: options?.creatorUserId,
          sort_order: options?.sortOrder,
        },
        options,
        reader: () => wholeJson((json) => readSessionPage(json, options?.pageSize)),
      });
    },

    retrieveSession(sessionId, options) {
      return perform({
        operation: 'retrieveSession',
        subject: sessionId,
        method: 'GET',
        path: ['sessions', sessionId],
        options,
        reader: () => sessionReader(sessionId),
      });
    },

    cancelSession(sessionId, options) {
      return perform({
        operation: 'cancelSession',
        subject: sessionId,
        method: 'POST',
        path: ['sessions', sessionId, 'cancel'],
        options,
        reader: () => wholeJson((json) => readCancelAnswer(json, sessionId)),
      });
    },

    listQueue(sessionId, options) {
      return perform({
        operation: 'listQueue',
        subject: sessionId,
        method: 'GET',
        path: ['sessions', sessionId, 'queue'],
        options,
        reader: () => wholeJson(readQueue),
      });
    },

    listTriggers(agentId, options) {
      return perform({
        operation: 'listTriggers',
        subject: agentId,
        method: 'GET',
        path: ['agents', agentId, 'triggers'],
        query: { page_size: TRIGGER_PAGE_SIZE, cursor: options?.cursor },
        options,
        reader: () => wholeJson((json) => readTriggerPage(json, TRIGGER_PAGE_SIZE)),
      });
    },

    close() {
      transport.close();
    },
  };
}
