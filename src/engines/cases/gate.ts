import type { VendorClock } from '../../adapters/vendor/vendor-clock.js';
import type { PermitRequest } from '../../adapters/ledger/breakers.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { type Departure, type Registration } from '../../adapters/ledger/requests.js';
import { LEASE_RENEWAL_MS } from '../../adapters/ledger/leases.js';
import type { RequestAnswer } from '../../adapters/ledger/request-row.js';
import type { ReadTimes } from '../../core/policy/binding.js';
import { missingSighting, sightingOf } from '../../core/policy/sighting.js';
import { SessionsError, type Session, type SessionsClient } from '../../adapters/vendor/index.js';
import type { Logger } from '../../platform/telemetry.js';
import { spanned } from '../../platform/tracing/spans.js';
import type { TriggerRun } from '../../adapters/ledger/ended-runs.js';
import type { Clock } from '../../platform/clock.js';
import {
  FRESH_READ_MS,
  freshFrom,
  isSlow,
  isYoungEnough,
  maxReadAge,
  notBeforeMs,
  showsTurnInFlight,
  type TimedRead,
} from '../../core/policy/fresh-read.js';
import type { Limiter, Patience } from '../../adapters/vendor/limiter.js';
import { HeldError } from '../../adapters/vendor/hold.js';
import type { Urgency } from '../../adapters/vendor/urgency.js';

/** One read of a session, and when it was. */
export interface Read extends TimedRead {
  /** Null: it was not there. */
  readonly session: Session | null;
  /** Of the vendor, where it was not there. */
  readonly notFound: SessionsError | null;
  readonly agentId: string | null;
  readonly times: ReadTimes;
  /** Monotonic, ms: from when its age counts; see {@link freshFrom}. */
  readonly freshFrom: number;
  /** Monotonic, ms: when it came to the limiter. */
  readonly askedAt: number;
}

interface SendRequest {
  readonly sessionId: string;
  readonly read: Read;
  readonly orderIds: readonly string[];
  /** For orders that policies gave: the permit that each needs. */
  readonly permits?: ReadonlyMap<string, PermitRequest>;
  /** For orders of which a person has said so: how old the read may be, ms. */
  readonly maxReadAges?: ReadonlyMap<string, number>;
  /** Who sends for this session: a case or a bulk job. */
  readonly owner: string;
}

type LetOut<R> = Extract<R, { readonly kind: 'registered' }>;

/** What became of a request that wanted to leave; `R`: what its journal may say, where it does not let it out. */
export type DispatchResult<R> =
  | {
      readonly kind: 'answered';
      readonly answer: RequestAnswer;
      readonly letOut: LetOut<R>;
      readonly error: SessionsError | null;
    }
  | { readonly kind: 'read-too-old'; readonly ageMs: number }
  /** There was no connection, no usable key, or the vendor holds requests back: nothing left this machine. */
  | { readonly kind: 'not-sent'; readonly error: SessionsError }
  | Exclude<R, { readonly kind: 'registered' }>;

/**
 * Where a cancel request is written before it leaves, and its answer after it. What it lets out, it lets out in one ledger
 * transaction that has read the pause switch and the exemptions, and that nobody else sends for the session.
 */
interface Journal<R> {
  /** @returns kind `registered`: it may leave */
  register(): Promise<R>;
  /** The request was let out, and never left. */
  withdraw(letOut: LetOut<R>): Promise<void>;
  answer(letOut: LetOut<R>, answer: RequestAnswer): Promise<void>;
  /** Called every {@link LEASE_RENEWAL_MS} until the answer is there; absent: the lease is somebody else's care. */
  renew?(letOut: LetOut<R>): Promise<void>;
  /** Many go at once, and the ledger tells of each: not logged one by one. */
  readonly quiet?: boolean;
}

/** The read that a request goes by. */
export interface Basis {
  /** Vendor's time of the read, ms; for a request without one, of when it was taken up. */
  readonly atMs: number;
  /** Null: there was none, and none is wanted (bulk `--fast`). */
  readonly read: Pick<Read, 'sentAt' | 'freshFrom' | 'askedAt' | 'session'> | null;
  /** How old it may be, ms; left out: {@link FRESH_READ_MS}. */
  readonly maxAgeMs?: number;
}

export interface GateDependencies {
  readonly sessions: SessionsClient;
  readonly ledger: Ledger;
  readonly limiter: Limiter;
  readonly clock: Clock;
  readonly vendorClock: Pick<VendorClock, 'note' | 'aheadOf'>;
  readonly log: Logger;
  /** Names this process in the ledger. */
  readonly worker: string;
  /** Told of each request that may have ended a run of a trigger. Must not fail. Absent: nobody is. */
  readonly onRunEnded?: (run: TriggerRun) => Promise<void>;
}

/**
 * The only way out for a cancel request. Cases and bulk jobs read here, decide, and send here; there is no other caller
 * of the vendor's cancel operation.
 */
export interface Gate {
  /**
   * Reads a session. 404 is a sighting too.
   *
   * @param mayProbe - a person waits for it; see {@link Patience}
   * @throws SessionsError for every other failure
   */
  read(sessionId: string, urgency: Exclude<Urgency, 'cancel'>, mayProbe?: boolean): Promise<Read>;
  /**
   * The same for a read that a request may follow: one that was slow is taken again, so that it can be believed.
   *
   * @param maxAgeMs - how old it may be for some order; left out: {@link FRESH_READ_MS}
   */
  readToSend(sessionId: string, mayProbe?: boolean, maxAgeMs?: number): Promise<Read>;
  /** Whether a read that was made for another purpose is so young that a request may follow it, and has time to leave. */
  mayGoBy(read: Read): boolean;
  /**
   * Sends one cancel request for the turn that the read showed in flight, after writing it into the ledger, and writes
   * the answer there too. A process that dies in between leaves the row open: known to have been sent, answer unknown.
   *
   * Whoever calls has decided on all that it knew. What may have changed since is asked here, at the last moment: pause,
   * exemption, permit and other senders in the transaction that writes the row (I3, I6), and after it the age of the read (I1).
   *
   * @throws LedgerUnavailableError when the ledger can't be reached; nothing was sent, unless the answer could not be stored
   */
  send(request: SendRequest): Promise<DispatchResult<Registration>>;
  /** The same for a request that is written elsewhere. Both leave by the same door. */
  dispatch<R extends { readonly kind: string }>(
    sessionId: string,
    basis: Basis,
    journal: Journal<R>,
  ): Promise<DispatchResult<R>>;
}

export function createGate(deps: GateDependencies): Gate {
  const { sessions, ledger, limiter, clock, vendorClock, log, worker, onRunEnded } = deps;
  return {
    read: (sessionId, urgency, mayProbe = false) =>
      spannedRead(sessionId, () => read(sessionId, urgency, { mayProbe })),

    readToSend: (sessionId, mayProbe = false, maxAgeMs = FRESH_READ_MS) =>
      spannedRead(sessionId, async () => {
        const first = await read(sessionId, 'look', { mayProbe });
        if (!isSlow(first) || !showsTurnInFlight(first) || isYoungEnough(first, maxAgeMs)) return first;
        const second = await read(sessionId, 'look', { mayProbe, since: first.askedAt });
        return { ...second, freshFrom: freshFrom(second, first) };
      }),

    mayGoBy: (read) => !isSlow(read) && clock.monotonic() - read.freshFrom <= FRESH_READ_MS / 2,

    async send(request) {
      const { read, orderIds, maxReadAges } = request;
      const { turnKey: key, turnStartedAtMs: startedAtMs } = read.sighting;
      if (key === null) throw new Error('A cancel request needs a read that showed a turn.');
      const limitOf = (orderId: string): number => maxReadAge(maxReadAges?.get(orderId));
      // For all orders while the read is young enough for all; then for those alone of which a person has said more.
      const limits = [...new Set(orderIds.map(limitOf))].sort((a, b) => a - b);
      let result: DispatchResult<Registration> = { kind: 'nothing-to-send' };
      for (const maxAgeMs of limits) {
        const mayGo = orderIds.filter((orderId) => limitOf(orderId) >= maxAgeMs);
        const isLast = maxAgeMs === limits.at(-1);
        if (!isLast && clock.monotonic() - read.freshFrom > maxAgeMs) continue;
        result = await sendFor({ ...request, orderIds: mayGo }, { key, startedAtMs }, maxAgeMs);
        if (result.kind !== 'read-too-old') break;
      }
      return result;
    },

    dispatch,
  };

  function sendFor(
    { sessionId, read, orderIds, permits = new Map(), owner }: SendRequest,
    turn: Departure['turn'],
    maxAgeMs: number,
  ): Promise<DispatchResult<Registration>> {
    const { sighting } = read;
    const departure: Departure = {
      ...{ sessionId, agentId: read.agentId, turn, orderIds, permits, owner, worker },
      readAtMs: notBeforeMs(read),
      leavesByMs: Math.ceil(sighting.atMs + read.freshFrom - read.sentAt + maxAgeMs),
    };
    const { requests } = ledger;
    return dispatch<Registration>(
      sessionId,
      { atMs: sighting.atMs, read, maxAgeMs },
      {
        register: () => requests.register(departure),
        withdraw: ({ requestId, orderIds: ids }) => requests.withdraw(requestId, ids),
        answer: ({ requestId }, answer) => requests.answer(requestId, answer),
        renew: ({ requestId }) => requests.renew(requestId),
      },
    );
  }

  function spannedRead(sessionId: string, work: () => Promise<Read>): Promise<Read> {
    return spanned('gate.read', { 'curfew.session_id': sessionId }, work);
  }

  async function read(sessionId: string, urgency: Urgency, patience: Patience): Promise<Read> {
    const askedAt = patience.since ?? clock.monotonic();
    await limiter.acquire(urgency, patience);
    const sentAt = clock.monotonic();
    const sentMs = clock.wall();
    try {
      const answer = await sessions.retrieveSession(sessionId);
      vendorClock.note(answer);
      const { serverDateMs } = answer;
      const times = {
        ...{ sentMs, receivedMs: clock.wall(), serverDateMs },
        vendorAheadMs: vendorClock.aheadOf(sentAt, sentMs),
      };
      return {
        sighting: sightingOf(answer.value, serverDateMs ?? times.receivedMs),
        session: answer.value,
        notFound: null,
        agentId: answer.value.agentId,
        sentAt,
        receivedAt: clock.monotonic(),
        freshFrom: sentAt,
        askedAt,
        times,
      };
    } catch (error) {
      if (error instanceof SessionsError && error.kind === 'not-found') {
        const times = { sentMs, receivedMs: clock.wall(), serverDateMs: null };
        const sighting = missingSighting(times.receivedMs);
        const receivedAt = clock.monotonic();
        const nothing = { session: null, notFound: error, agentId: null };
        return { ...nothing, sighting, sentAt, receivedAt, freshFrom: sentAt, askedAt, times };
      }
      throw error;
    }
  }

  /** @returns null when it is the turn of the request; why it has to stay here when the vendor holds requests back */
  async function turnToCancel(read: Basis['read'], maxAgeMs: number): Promise<HeldError | null> {
    // To wait for longer than the read is good for would be in vain.
    const goesOn = read && { since: read.askedAt, holdMs: Math.max(0, read.freshFrom + maxAgeMs - clock.monotonic()) };
    try {
      await limiter.acquire('cancel', goesOn ?? {});
      return null;
    } catch (error) {
      if (error instanceof HeldError) return error;
      throw error;
    }
  }

  async function dispatch<R extends { readonly kind: string }>(
    sessionId: string,
    { atMs, read, maxAgeMs = FRESH_READ_MS }: Basis,
    journal: Journal<R>,
  ): Promise<DispatchResult<R>> {
    const timedAt = read?.sentAt ?? clock.monotonic();
    // Before the row is written: between that and the request nothing may wait.
    const held = await turnToCancel(read, maxAgeMs);
    if (held !== null) return { kind: 'not-sent', error: held };

    // Without a read it is the leave of the ledger that must not grow old: a pause or another sender may have come since.
    const countsFrom = read?.freshFrom ?? clock.monotonic();
    const vendorNow = (): number => Math.round(atMs + clock.monotonic() - timedAt);

    const letOut = await spanned('gate.register', { 'curfew.session_id': sessionId }, () => journal.register());
    if (!isLetOut(letOut)) return letOut as Exclude<R, { readonly kind: 'registered' }>;

    const attempt = 'attempt' in letOut ? letOut.attempt : undefined;
    // The last look at the clock: nothing that can wait stands between here and the request.
    const ageMs = clock.monotonic() - countsFrom;
    if (ageMs > maxAgeMs) {
      await journal.withdraw(letOut);
      return { kind: 'read-too-old', ageMs: Math.round(ageMs) };
    }

    if (journal.quiet !== true) log.debug({ sessionId, attempt }, 'sending cancel request');
    const renewal = journal.renew === undefined ? undefined : setInterval(renew, LEASE_RENEWAL_MS);
    let answer: RequestAnswer;
    let failure: SessionsError | null = null;
    try {
      const { value, status } = await sessions.cancelSession(sessionId, { sendBefore: countsFrom + maxAgeMs });
      answer = {
        answer: 'accepted',
        state: value.state,
        httpStatus: status,
        errorCode: null,
        errorMessage: null,
        answeredAtMs: vendorNow(),
      };
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      if (!error.sent) {
        await journal.withdraw(letOut);
        return { kind: 'not-sent', error };
      }
      failure = error;
      answer = {
        answer: error.outcomeUnknown ? 'unknown' : 'refused',
        state: null,
        httpStatus: error.status,
        errorCode: error.code ?? error.kind,
        errorMessage: error.message,
        answeredAtMs: vendorNow(),
      };
    } finally {
      clearInterval(renewal);
    }
    await journal.answer(letOut, answer);
    const session = read?.session ?? null;
    if (session?.triggerId != null && session.agentId !== null && answer.answer !== 'refused') {
      await onRunEnded?.({ sessionId, agentId: session.agentId, triggerId: session.triggerId });
    }
    if (journal.quiet !== true) {
      log.info({ sessionId, attempt, answer: answer.answer, state: answer.state }, 'cancel request answered');
    }
    return { kind: 'answered', answer, letOut, error: failure };

    function renew(): void {
      journal.renew?.(letOut as LetOut<R>).catch((error: unknown) => {
        log.warn({ sessionId, err: error }, 'could not renew the lease of a cancel request');
      });
    }
  }
}

const isLetOut = <R extends { readonly kind: string }>(said: R): said is LetOut<R> => said.kind === 'registered';
