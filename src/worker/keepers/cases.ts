import pMap from 'p-map';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Cases } from '../../adapters/temporal/cases.js';
import type { WrittenOrder } from '../../engines/cases/open-case.js';
import { startRefusal } from '../../adapters/temporal/start-refusal.js';

/** How often orders without an outcome are looked for, ms. */
const EVERY_MS = 60_000;
/** The same for those whose holder is gone: it has been silent for ten seconds then, and their cases are to go on within 20. */
const UNHELD_EVERY_MS = 4_000;
/** A case that was opened for them counts as at work so long without a word, ms. */
const TAKES_OVER_WITHIN_MS = 60_000;
/** An order whose case was due longer ago than this has lost it, ms. Longer than any pass takes when all is well. */
const NEGLECTED_AFTER_MS = 90_000;
const BATCH = 500;
const AT_ONCE = 10;
/** A case that does not answer by then was started all the same, ms. */
const JOIN_LIMIT_MS = 10_000;

/** An order whose case Temporal still refuses to start at this age is told to people, ms. */
const TELL_AFTER_MS = 60_000;

/**
 * Takes up orders again whose case was lost: a crash between the ledger and Temporal, a terminated workflow, a deleted
 * Temporal database. The ledger says what was ordered; starting a case that is open already does no harm.
 *
 * Runs until the signal: at once, then every minute.
 */
export function reconcile(
  ledger: Pick<Ledger, 'orders' | 'holds' | 'now'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  signal: AbortSignal,
): Promise<unknown> {
  const unheld = (): Promise<void> => takeUpUnheld(ledger, cases, log, signal);
  let booted = false;
  const pass = async (): Promise<void> => {
    // At boot nobody is known to be at work on anything.
    const lookedAtBefore = booted ? (await ledger.now()) - NEGLECTED_AFTER_MS : Number.MAX_SAFE_INTEGER;
    await takeUpNeglected(ledger, cases, log, lookedAtBefore, signal);
    booted = true;
  };
  return Promise.all([
    keep('look for orders without an outcome', EVERY_MS, pass, { log, signal }),
    keep('look for orders whose worker is gone', UNHELD_EVERY_MS, unheld, { log, signal }),
  ]);
}

/** Opens cases for what a worker held that is gone, or has let go of it. Fails only where the ledger does. */
export async function takeUpUnheld(
  ledger: Pick<Ledger, 'orders' | 'holds'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const unheld = await ledger.holds.unheld(BATCH);
  if (unheld.length > 0) log.info({ sessions: unheld.length }, 'taking up orders whose worker is gone');
  await openAll(ledger, cases, log, signal, unheld, (sessionId) =>
    ledger.holds.entrust(sessionId, TAKES_OVER_WITHIN_MS),
  );
}

/** One pass. Fails only where the ledger does. */
export async function takeUpNeglected(
  ledger: Pick<Ledger, 'orders'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  lookedAtBefore: number,
  signal: AbortSignal,
): Promise<void> {
  const neglected = await ledger.orders.neglected(lookedAtBefore, BATCH);
  if (neglected.length > 0) log.info({ sessions: neglected.length }, 'taking up orders without an outcome');
  await openAll(ledger, cases, log, signal, neglected);
}

async function openAll(
  ledger: Pick<Ledger, 'orders'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  signal: AbortSignal,
  orders: readonly WrittenOrder[],
  opened: (sessionId: string) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await pMap(
    orders,
    async ({ sessionId, orderId }) => {
      if (signal.aborted) return;
      try {
        await cases.join(sessionId, orderId, JOIN_LIMIT_MS, true);
        await opened(sessionId);
      } catch (error) {
        // One that can't be started must not keep the others waiting.
        log.warn({ sessionId, err: error }, 'could not start a case; trying again in a minute');
        await opened(sessionId);
        const refusal = startRefusal(error);
        if (refusal === null) return;
        const why = `Temporal does not start its case: ${refusal}`;
        if (await ledger.orders.tellNotEnding(orderId, TELL_AFTER_MS, why)) {
          log.error({ sessionId, orderId, why }, 'not-ending');
        }
      }
    },
    { concurrency: AT_ONCE, stopOnError: false },
  );
}
