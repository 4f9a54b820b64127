import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Fleet } from './fleet.js';

/** A session that starts by itself after an end does so by then, ms: a message that waited is sent as soon as the turn ends. */
const STARTS_WITHIN_MS = 60_000;
/** The same where messages wait in its queue: up to 20 of them start one turn after the other. */
const STARTS_QUEUED_WITHIN_MS = 6 * 60_000;

/**
 * Sessions whose turn was ended a short time ago, by whomever. Where a list shows one of them again, it gets a look.
 *
 * @throws LedgerUnavailableError
 */
export async function lookForEndedTurns({
  ledger,
  scanMs,
}: {
  readonly ledger: Pick<Ledger, 'orders'>;
  readonly scanMs: number;
}): Promise<Fleet['endedLately']> {
  // What starts at the end of that time is seen by the scan after it.
  const ended = await ledger.orders.ended(STARTS_QUEUED_WITHIN_MS + scanMs);
  return new Map(
    ended
      .filter(({ agoMs, queued }) => agoMs < (queued ? STARTS_QUEUED_WITHIN_MS : STARTS_WITHIN_MS) + scanMs)
      .map(({ sessionId, queued, settledAtMs }) => [sessionId, { queued, settledAtMs }]),
  );
}
