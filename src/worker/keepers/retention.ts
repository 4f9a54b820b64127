import type { Ledger } from '../../adapters/ledger/ledger.js';
import { RETENTION_BATCH, type Removed } from '../../adapters/ledger/retention.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { distance } from '../../core/text/distance.js';
import { iso } from '../../core/times.js';
import { pauseUntil } from '../../platform/pause.js';

const EVERY_MS = 60 * 60_000;
/** Workers have more urgent work when they start, ms. */
const FIRST_AFTER_MS = 60_000;
/** Between two batches others get their turn, ms. */
const BETWEEN_BATCHES_MS = 100;

/** Clocks are set badly, but not so badly; and the retention is at least a day, ms. */
const TOLERATED_MS = 60 * 60_000;
/** A ledger's time that moved by more than this between two rounds may be a clock's mistake, ms. */
const STEP_MS = 24 * 60 * 60_000;

/** When somebody last looked what is to be removed, by the ledger's clock. */
const LAST_ROUND_META = 'retention/last-round';

export interface RetentionDependencies {
  readonly ledger: Pick<Ledger, 'now' | 'newestRow' | 'meta' | 'removeExpired'>;
  /** Vendor's time now, asked anew; null: not known. */
  readonly vendorNow: () => Promise<number | null>;
  /** This machine's wall clock. */
  readonly wall: () => number;
  /** How long what is over is kept, ms; at least a day. */
  readonly retentionMs: number;
  readonly log: Logger;
}

/**
 * Removes from the ledger what is older than the retention: a minute after the start, then every hour, until the signal.
 * Any number of workers may do so.
 */
export const keepRetention = (deps: RetentionDependencies, signal: AbortSignal): Promise<void> =>
  keep('remove what is older than the retention', EVERY_MS, () => retentionRound(deps, signal), {
    ...{ log: deps.log, signal, firstAfterMs: FIRST_AFTER_MS },
  });

/** One round. What was removed can't be brought back, so a clock alone is not believed: see {@link clockDoubt}. */
export async function retentionRound(deps: RetentionDependencies, signal: AbortSignal): Promise<void> {
  const { ledger, log } = deps;
  const vendorMs = await deps.vendorNow();
  const ledgerMs = await ledger.now();
  const mark = await ledger.meta.read(LAST_ROUND_META);
  const lastMs = mark === null ? await ledger.newestRow() : Date.parse(mark);
  const doubt = clockDoubt({ ledgerMs, vendorMs, lastMs });
  if (doubt === null || doubt.kind === 'step') {
    await ledger.meta.replace(LAST_ROUND_META, iso(ledgerMs));
  }
  if (doubt !== null || vendorMs === null) {
    log.warn(`Nothing was removed from the ledger this hour: ${doubt?.why ?? ''}. \`curfew doctor\` shows the clocks.`);
    return;
  }
  await removeAllExpired(deps, Math.min(ledgerMs, vendorMs, deps.wall()), signal);
}

/**
 * Why a time must not be what ages are counted from; null: nothing speaks against it. It takes two more witnesses: the
 * vendor's clock, and what the ledger itself saw last. One that moved by over a day since then may be right (Curfew was off)
 * or not: that round is skipped, and the next one goes on from there.
 *
 * @param times.lastMs - the last round before, or the newest row where none was yet; null: there is nothing
 */
export function clockDoubt(times: {
  readonly ledgerMs: number;
  readonly vendorMs: number | null;
  readonly lastMs: number | null;
}): { readonly kind: 'unconfirmed' | 'step'; readonly why: string } | null {
  const { ledgerMs, vendorMs, lastMs } = times;
  if (vendorMs === null)
    return { kind: 'unconfirmed', why: 'the vendor’s time is not known, so nothing confirms ours' };
  if (Math.abs(ledgerMs - vendorMs) > TOLERATED_MS) {
    return { kind: 'unconfirmed', why: `the ledger’s clock is ${distance(ledgerMs - vendorMs)} the vendor’s` };
  }
  if (lastMs !== null && !(Math.abs(ledgerMs - lastMs) <= STEP_MS)) {
    return { kind: 'step', why: `the ledger’s clock is ${distance(ledgerMs - lastMs)} what it last saw` };
  }
  return null;
}

/** @param latestMs - what ages are counted from at the latest, ms since the Unix epoch */
export async function removeAllExpired(
  {
    ledger,
    retentionMs,
    log,
  }: Pick<RetentionDependencies, 'retentionMs' | 'log'> & {
    readonly ledger: Pick<Ledger, 'removeExpired'>;
  },
  latestMs: number,
  signal: AbortSignal,
): Promise<void> {
  const total: Record<string, number> = {};
  let removed: Removed;
  do {
    removed = await ledger.removeExpired(retentionMs, latestMs);
    for (const [kind, count] of Object.entries<number>({ ...removed })) total[kind] = (total[kind] ?? 0) + count;
    if (isFull(removed)) await pauseUntil(BETWEEN_BATCHES_MS, signal);
  } while (isFull(removed) && !signal.aborted);
  if (Object.values(total).some((count) => count > 0)) log.info(total, 'removed what is older than the retention');
}

/** Of some kind there may be more. */
const isFull = (removed: Removed): boolean =>
  Object.values<number>({ ...removed }).some((count) => count >= RETENTION_BATCH);
