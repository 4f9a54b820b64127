import type { VendorClock } from '../fleet/vendor-clock.js';
import type { PermitRequest } from '../ledger/breakers.js';
import type { Ledger } from '../ledger/ledger.js';
import { LEASE_RENEWAL_MS, type Registration, type RequestAnswer } from '../ledger/requests.js';
import type { ReadTimes } from '../policy/binding.js';
import { missingSighting, sightingOf, type Sighting } from '../policy/sighting.js';
import { SessionsError, type Session, type SessionsClient } from '../sessions/index.js';
import type { Logger } from '../telemetry.js';
import type { Clock } from './clock.js';
import type { Limiter, Urgency } from './limiter.js';

/**
 * A read older than this lets no cancel request out, ms (invariant I1). Counted from before the read was sent, because
 * the vendor may have looked at the session at any moment since.
 */
export const FRESH_READ_MS = 2_000;

/** One read of a session, and when it was. */
export interface Read {
  readonly sighting: Sighting;
  /** Null: it was not there. */
  readonly session: Session | null;
  readonly agentId: string | null;
  /** Monotonic, ms: just before the read was sent. */
  readonly sentAt: number;
  readonly times: ReadTimes;
}

export interface SendRequest {
  readonly sessionId: string;
  readonly read: Read;
  readonly orderIds: readonly string[];
  /** For orders that policies gave: the permit that each needs. */
  readonly permits?: ReadonlyMap<string, PermitRequest>;
  /** Who sends for this session: a case or a bulk job. */
  readonly owner: string;
}

export type SendResult =
  | {
      readonly kind: 'answered';
      readonly answer: RequestAnswer;
      readonly attempt: number;
      readonly error: SessionsError | null;
    }
  | { readonly kind: 'read-too-old'; readonly ageMs: number }
  /** There was no connection, or no usable key: nothing left this machine. */
  | { readonly kind: 'not-sent'; readonly error: SessionsError }
  | Exclude<Registration, { kind: 'registered' }>;

export interface GateDependencies {
  readonly sessions: SessionsClient;
  readonly ledger: Ledger;
  readonly limiter: Limiter;
  readonly clock: Clock;
  readonly vendorClock: Pick<VendorClock, 'note'>;
  readonly log: Logger;
  /** Names this process in the ledger. */
  readonly worker: string;
}

/**
 * The only way out for a cancel request. Cases and bulk jobs read here, decide, and send here; there is no other caller
 * of the vendor's cancel operation.
 */
export interface Gate {
  /** Reads a session. 404 is a sighting too. @throws SessionsError for every other failure */
  read(sessionId: string, urgency?: Urgency): Promise<Read>;
  /**
   * Sends one cancel request for the turn that the read showed in flight, after writing it into the ledger, and writes
   * the answer there too. A process that dies in between leaves the row open: known to have been sent, answer unknown.
   *
   * @throws LedgerUnavailableError when the ledger can't be reached; nothing was sent, unless the answer could not be stored
   */
  send(request: SendRequest): Promise<SendResult>;
}

export function createGate({ sessions, ledger, limiter, clock, vendorClock, log, worker }: GateDependencies): Gate {
  return {
    async read(sessionId, urgency) {
      await limiter.acquire(urgency);
      const sentAt = clock.monotonic();
      const sentMs = clock.wall();
      try {
        const answer = await sessions.retrieveSession(sessionId);
        vendorClock.note(answer);
        const times = { sentMs, receivedMs: clock.wall(), serverDateMs: answer.serverDateMs };
        return {
          sighting: sightingOf(answer.value, answer.serverDateMs ?? times.receivedMs),
          session: answer.value,
          agentId: answer.value.agentId,
          sentAt,
          times,
        };
      } catch (error) {
        if (error instanceof SessionsError && error.kind === 'not-found') {
          const times = { sentMs, receivedMs: clock.wall(), serverDateMs: null };
          return { sighting: missingSighting(times.receivedMs), session: null, agentId: null, sentAt, times };
        }
        throw error;
      }
    },

    async send({ sessionId, read, orderIds, permits = new Map(), owner }) {
      const { sighting } = read;
      if (sighting.turnKey === null) throw new Error('A cancel request needs a read that showed a turn.');
      const vendorNow = (): number => Math.round(sighting.atMs + clock.monotonic() - read.sentAt);

      const registration = await ledger.requests.register({
        sessionId,
        agentId: read.agentId,
        turn: { key: sighting.turnKey, startedAtMs: sighting.turnStartedAtMs },
        orderIds,
        permits,
        owner,
        worker,
        readAtMs: sighting.atMs,
      });
      if (registration.kind !== 'registered') return registration;

      const { requestId, attempt, orderIds: senders } = registration;
      // The last look at the clock: nothing that can wait stands between here and the request.
      const ageMs = clock.monotonic() - read.sentAt;
      if (ageMs > FRESH_READ_MS) {
        await ledger.requests.withdraw(requestId, senders);
        return { kind: 'read-too-old', ageMs: Math.round(ageMs) };
      }

      log.info({ sessionId, turnKey: sighting.turnKey, attempt, requestId }, 'sending cancel request');
      const renewal = setInterval(() => {
        ledger.requests.renew(requestId).catch((error: unknown) => {
          log.warn({ sessionId, requestId, err: error }, 'could not renew the lease of a cancel request');
        });
      }, LEASE_RENEWAL_MS);
      let answer: RequestAnswer;
      let failure: SessionsError | null = null;
      try {
        const { value, status } = await sessions.cancelSession(sessionId, {
          sendBefore: read.sentAt + FRESH_READ_MS,
        });
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
          await ledger.requests.withdraw(requestId, senders);
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
      await ledger.requests.answer(requestId, answer);
      log.info(
        { sessionId, attempt, requestId, answer: answer.answer, state: answer.state },
        'cancel request answered',
      );
      return { kind: 'answered', answer, attempt, error: failure };
    },
  };
}
