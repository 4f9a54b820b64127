import type { Ledger } from '../ledger/ledger.js';
import { SessionsError, type SessionsClient } from '../sessions/index.js';
import type { Logger } from '../telemetry.js';

/** There while the vendor refuses the account. */
export const ACCOUNT_REFUSED_META = 'account-refused';
/** So many sessions refused within {@link ALIKE_WITHIN_MS}, and none accepted, mean that it is not about the session. */
const ALIKE_SESSIONS = 3;
const ALIKE_WITHIN_MS = 10 * 60_000;
/** Another worker may have been refused since, and died before it saw the key work again: so the mark is looked at now and then, ms. */
const SURE_FOR_MS = 60_000;

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
   * alike. Null: it can't be told now, because the vendor does not answer.
   */
  concernsAccount(error: SessionsError): Promise<boolean | null>;
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
  return {
    async works() {
      if (known === 'works' && monotonic() - worksSince < SURE_FOR_MS) return;
      if (await ledger.meta.drop(ACCOUNT_REFUSED_META)) {
        await ledger.recordEvents([{ kind: 'account-accepted' }]);
        log.info('the vendor accepts the key again; held cases go on');
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
    async concernsAccount(error) {
      if (error.accountWide) return true;
      if (error.kind !== 'forbidden') return false;
      if ((await ledger.forbiddenSessionsWithin(ALIKE_WITHIN_MS)) >= ALIKE_SESSIONS) return true;
      try {
        await sessions.listAgents({ pageSize: 1 });
        return false;
      } catch (probe) {
        if (!(probe instanceof SessionsError)) throw probe;
        if (probe.kind === 'rate-limited') return null;
        return probe.accountWide || probe.kind === 'forbidden' ? true : null;
      }
    },
  };
}
