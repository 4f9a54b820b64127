import type { Ledger } from '../../adapters/ledger/ledger.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { StrangerError } from '../../adapters/temporal/own-ids.js';
import type { Notifications } from '../../adapters/temporal/notifications.js';
import { NEWS_FOR_MS } from '../../core/told.js';
import { createRoutesReader, type RouteInForce } from '../../engines/notify/routes.js';

/** How often is looked whether there is anything to tell, ms. */
const EVERY_MS = 2_000;
/** When the last look found nothing, only what is younger than this is looked at, ms. Longer than any transaction takes. */
const YOUNG_MS = 15 * 60_000;
/** But so often all news is, ms: a clock that was set back makes new items look old. */
const ALL_EVERY_MS = 10 * 60_000;
/** Longest time until a workflow that is still at it is started again, ms. */
const LONGEST_WAIT_MS = 30_000;

/** What is known of a route between two looks. Monotonic ms. */
interface RouteWatch {
  lookAllAt: number;
  startAt: number;
  waitMs: number;
  runId: string | null;
}

/**
 * Starts the workflow of each notification route that has something to tell. A look is a cheap question to the ledger, so
 * a fleet where nothing happens costs Temporal nothing.
 *
 * Runs until the signal. What fails is tried again at the next look: the news stays in the ledger.
 */
export function startNotifications(
  ledger: Ledger,
  notifications: Notifications,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const routes = createRoutesReader(ledger);
  const watches = new Map<string, RouteWatch>();
  const pass = async (): Promise<void> => {
    try {
      for (const route of await routes.read()) {
        if (signal.aborted) return;
        try {
          await look(ledger, notifications, route, watches);
        } catch (error) {
          // A route whose id is taken keeps no other from telling; and it was told where it was found.
          if (!(error instanceof StrangerError)) throw error;
        }
      }
    } catch (error) {
      // What was not seen meanwhile may be old by now.
      for (const watch of watches.values()) watch.lookAllAt = 0;
      throw error;
    }
  };
  return keep('look for what to notify', EVERY_MS, pass, { log, signal });
}

async function look(
  ledger: Ledger,
  notifications: Notifications,
  { name, audience }: RouteInForce,
  watches: Map<string, RouteWatch>,
): Promise<void> {
  const now = performance.now();
  const watch = watches.get(name) ?? { lookAllAt: 0, startAt: 0, waitMs: EVERY_MS, runId: null };
  watches.set(name, watch);
  if (now < watch.startAt) return;
  const all = now >= watch.lookAllAt;
  if (!(await ledger.deliveries.pending(audience, all ? NEWS_FOR_MS : YOUNG_MS))) {
    if (all) watch.lookAllAt = now + ALL_EVERY_MS;
    return;
  }
  // Until nothing is found again, all is looked at: what waits for a sink that is away grows old.
  watch.lookAllAt = 0;
  const runId = await notifications.start(name);
  // Still the same run: it has a receiver that does not answer, and needs nobody to push it.
  watch.waitMs = runId === watch.runId ? Math.min(watch.waitMs * 2, LONGEST_WAIT_MS) : EVERY_MS;
  watch.startAt = now + watch.waitMs;
  watch.runId = runId;
}
