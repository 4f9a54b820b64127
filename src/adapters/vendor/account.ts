import type { Ledger } from '../ledger/ledger.js';
import { SessionsError } from './errors.js';
import type { SessionsClient } from './index.js';
import type { Logger } from '../../platform/telemetry.js';

/** There while the vendor refuses the account. */
export const ACCOUNT_REFUSED_META = 'account-refused';
/** So many sessions refused within {@link ALIKE_WITHIN_MS}, and none accepted, mean that it is not about the session. */
const ALIKE_SESSIONS = 3;
const ALIKE_WITHIN_MS = 10 * 60_000;
/** Another worker may have been refused since, and died before it saw the key work again: so the mark is looked at now and then, ms. */
const SURE_FOR_MS = 60_000;
/** Whether the vendor answers anybody is known for so long, ms. */
const ANSWERS_FOR_MS = 30_000;
/** A key that was accepted so short a time ago may be refused for one session only, ms: it is tried before it is called refused. */
const ACCEPTED_LATELY_MS = 60_000;

/**
 * Whether the vendor accepts this account at all. A refused key concerns every case alike: it is told once, the cases
 * stay open, and go on when the key works again.
 */
export interface Account {
  /** A call was answered: the account works. Tells once, if it was refused before. */
  works(): Promise<void>;
  /** A call was refused for the account's sake. Tells once. */
  refused(error: SessionsError): Promise<void>;
  /**
   * Whether a failure concerns the account and not just this session: 401, `tier_required_*`, or a 403 for every session
   * alike, while nothing is accepted with the same key. Null: it can't be told now, because the vendor does not answer.
   *
   * @param forMs - so long this session has been refused already
   */
  concernsAccount(error: SessionsError, forMs?: number): Promise<boolean | null>;
  /** Whether the vendor answers this account at all: it has done so within the last of these ms, or does when asked. */
  answers(withinMs: number): Promise<boolean>;
  /** Whether this process got any answer with the key so short a time ago. */
  acceptedWithin(ms: number): boolean;
}

export function createAccount(
  ledger: Ledger,
  sessions: SessionsClient,
  log: Logger,
  monotonic: () => number = () => performance.now(),
): Account {
  // Null: not known since this process started.
  let known: 'works' | 'refused' | null = null;
  let worksSince = -Infinity;
  let acceptedAt = -Infinity;

  const acceptedWithin = (ms: number): boolean => monotonic() - acceptedAt <= ms;

  /** Whether the key is refused for what needs no right to any session. */
  const probe = async (): Promise<boolean | null> => {
    try {
      await sessions.listAgents({ pageSize: 1 });
      acceptedAt = monotonic();
      return false;
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      if (error.kind === 'rate-limited') return null;
      return error.accountWide || error.kind === 'forbidden' ? true : null;
    }
  };

  let silentAt = -Infinity;

  return {
    acceptedWithin,
    async answers(withinMs) {
      if (acceptedWithin(Math.min(withinMs, ANSWERS_FOR_MS))) return true;
      // Many may ask in an outage.
      if (monotonic() - silentAt <= ANSWERS_FOR_MS) return false;
      silentAt = monotonic();
      return (await probe()) === false;
    },
    async works() {
      acceptedAt = monotonic();
      if (known === 'works' && monotonic() - worksSince < SURE_FOR_MS) return;
      if (await ledger.meta.drop(ACCOUNT_REFUSED_META)) {
        await ledger.recordEvents([{ kind: 'account-accepted' }]);
        log.info('the vendor accepts the key again; held cases continue');
      }
      known = 'works';
      worksSince = monotonic();
    },
    async refused(error) {
      if (known === 'refused') return;
      if (await ledger.meta.claim(ACCOUNT_REFUSED_META, error.kind)) {
        const data = { error: error.kind, status: error.status, code: error.code, message: error.message };
        await ledger.recordEvents([{ kind: 'account-refused', data }]);
        log.error(data, 'the vendor refuses this account: no session can be read or ended until the key works again');
      }
      known = 'refused';
    },
    async concernsAccount(error, forMs = 0) {
      switch (error.kind) {
        case 'forbidden':
          // Where only the cancel request was refused, a read had just been accepted.
          if (error.operation !== 'cancelSession' && (await manyAlike())) return true;
          return probe();
        case 'account-forbidden':
          return acceptedWithin(forMs + ACCEPTED_LATELY_MS) ? probe() : true;
        case 'unauthorized': {
          // A key is revoked from one moment to the next, so that it was accepted before says nothing of a read.
          const before = error.operation === 'cancelSession' ? ACCEPTED_LATELY_MS : 0;
          return forMs + before > 0 && acceptedWithin(forMs + before) ? probe() : true;
        }
        default:
          return error.accountWide;
      }
    },
  };

  async function manyAlike(): Promise<boolean> {
    return (await ledger.forbiddenSessionsWithin(ALIKE_WITHIN_MS)) >= ALIKE_SESSIONS;
  }
}
