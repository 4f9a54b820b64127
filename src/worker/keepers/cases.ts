import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Logger } from '../../platform/telemetry.js';
import type { Cases } from '../../adapters/temporal/cases.js';
import { startRefusal } from '../../adapters/temporal/start-refusal.js';

/** How often orders without an outcome are looked for, ms. */
const EVERY_MS = 60_000;
/** An order whose case was due longer ago than this has lost it, ms. Longer than any pass takes when all is well. */
const NEGLECTED_AFTER_MS = 90_000;
const BATCH = 500;
const AT_ONCE = 10;

/** An order whose case Temporal still refuses to start at this age is told to people, ms. */
const TELL_AFTER_MS = 60_000;

/**
 * Takes up orders again whose case was lost: a crash between the ledger and Temporal, a terminated workflow, a deleted
 * Temporal database. The ledger says what was ordered; starting a case that is open already does no harm.
 *
 * Runs until the signal: at once, then every minute. What fails is logged and tried again the next time.
 */
export async function reconcile(
  ledger: Pick<Ledger, 'orders' | 'now'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  // At boot nobody is known to be at work on anything.
  let lookedAtBefore = Number.MAX_SAFE_INTEGER;
  while (!signal.aborted) {
    await takeUpNeglected(ledger, cases, log, lookedAtBefore, signal);
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
    lookedAtBefore = (await ledger.now().catch(() => Date.now())) - NEGLECTED_AFTER_MS;
  }
}

/** One pass. Never fails. */
export async function takeUpNeglected(
  ledger: Pick<Ledger, 'orders'>,
  cases: Pick<Cases, 'join'>,
  log: Logger,
  lookedAtBefore: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    const neglected = await ledger.orders.neglected(lookedAtBefore, BATCH);
    if (neglected.length > 0) log.info({ sessions: neglected.length }, 'taking up orders without an outcome');
    for (let first = 0; first < neglected.length && !signal.aborted; first += AT_ONCE) {
      const batch = neglected.slice(first, first + AT_ONCE);
      const joins = await Promise.allSettled(
        batch.map(({ sessionId, orderId }) => cases.join(sessionId, orderId, 10_000, true)),
      );
      // One that can't be started must not keep the others waiting.
      for (const [index, join] of joins.entries()) {
        const order = batch[index];
        if (join.status === 'fulfilled' || order === undefined) continue;
        const { sessionId, orderId } = order;
        log.warn({ sessionId, err: join.reason as unknown }, 'could not start a case; trying again in a minute');
        const refusal = startRefusal(join.reason);
        if (refusal === null) continue;
        const why = `Temporal does not start its case: ${refusal}`;
        if (await ledger.orders.tellNotEnding(orderId, TELL_AFTER_MS, why)) {
          log.error({ sessionId, orderId, why }, 'not-ending');
        }
      }
    }
  } catch (error) {
    log.warn({ err: error }, 'could not look for orders without an outcome; trying again in a minute');
  }
}
