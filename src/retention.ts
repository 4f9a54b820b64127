import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from './ledger/ledger.js';
import { RETENTION_BATCH, type Removed } from './ledger/retention.js';
import type { Logger } from './telemetry.js';

const EVERY_MS = 60 * 60_000;
/** Workers have more urgent work when they start, ms. */
const FIRST_AFTER_MS = 60_000;
/** Between two batches others get their turn, ms. */
const BETWEEN_BATCHES_MS = 100;

/**
 * Removes from the ledger what is older than the retention: a minute after the start, then every hour, until the signal.
 * Any number of workers may do so. What fails is logged and tried again the next time.
 */
export async function keepRetention(
  ledger: Pick<Ledger, 'removeExpired'>,
  retentionMs: number,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  await sleep(FIRST_AFTER_MS, undefined, { signal }).catch(() => {});
  while (!signal.aborted) {
    try {
      await removeAllExpired(ledger, retentionMs, log, signal);
    } catch (error) {
      log.warn({ err: error }, 'could not remove what is older than the retention; trying again in an hour');
    }
    await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

export async function removeAllExpired(
  ledger: Pick<Ledger, 'removeExpired'>,
  retentionMs: number,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const total: Record<string, number> = {};
  let removed: Removed;
  do {
    removed = await ledger.removeExpired(retentionMs);
    for (const [kind, count] of Object.entries<number>({ ...removed })) total[kind] = (total[kind] ?? 0) + count;
    if (isFull(removed)) await sleep(BETWEEN_BATCHES_MS, undefined, { signal }).catch(() => {});
  } while (isFull(removed) && !signal.aborted);
  if (Object.values(total).some((count) => count > 0)) log.info(total, 'removed what is older than the retention');
}

/** Of some kind there may be more. */
const isFull = (removed: Removed): boolean =>
  Object.values<number>({ ...removed }).some((count) => count >= RETENTION_BATCH);
