import { LedgerUnavailableError } from '../adapters/ledger/errors.js';
import type { Ledger } from '../adapters/ledger/ledger.js';
import type { OrderView } from '../adapters/ledger/results.js';
import { onInterrupt } from './interrupt.js';
import type { Output } from './output.js';
import { standing } from './words.js';
import { pauseUntil } from '../platform/pause.js';

const POLL_MS = 400;
const REFRESH_MS = 2_000;

export interface Following<T> {
  readonly out: Output;
  /** The person leaves. */
  readonly signal: AbortSignal;
  /** Time between two looks, ms; longer after a look that took `1 / restPerLook` of it. */
  readonly everyMs?: number;
  readonly restPerLook?: number;
  /** Shows what was seen. @returns whether that is enough */
  readonly onSeen: (seen: T) => boolean | Promise<boolean>;
  /** Says once that the ledger is waited for. */
  readonly onAway?: (message: string) => void;
}

/**
 * Looks into the ledger until it is enough, or the person leaves; at least once. A ledger that is away is waited for.
 *
 * @returns what was seen last
 * @throws LedgerUnavailableError when the person leaves before anything was seen
 */
export async function follow<T>(
  look: () => Promise<T>,
  { out, signal, everyMs = POLL_MS, restPerLook = 0, onSeen, onAway = (message) => out.say(message) }: Following<T>,
): Promise<T> {
  let last: { readonly seen: T } | null = null;
  let away = false;
  for (;;) {
    const beganMs = performance.now();
    try {
      const seen = await look();
      last = { seen };
      away = false;
      if ((await onSeen(seen)) || signal.aborted) return seen;
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError)) throw error;
      if (signal.aborted) {
        if (last === null) throw error;
        return last.seen;
      }
      if (!away) onAway(`${error.message} Waiting for it.`);
      away = true;
    }
    const restMs = Math.max(everyMs, restPerLook * (performance.now() - beganMs));
    await pauseUntil(restMs, signal);
  }
}

/**
 * Shows as the result what is looked at, until Ctrl-C: refreshed in place where a person watches, else whenever its document has
 * changed.
 */
export async function showLive<T>(
  look: () => Promise<T>,
  documentOf: (seen: T) => unknown,
  wordsOf: (seen: T) => string,
  out: Output,
): Promise<void> {
  const interrupt = onInterrupt();
  const { page } = out;
  let told = '';
  const onSeen = (seen: T): boolean => {
    const document = documentOf(seen);
    const news = JSON.stringify(document);
    if (page.live) page.redraw(seen, ending(wordsOf, '\n\nRefreshed every 2 s. Ctrl-C ends it.'));
    else if (news !== told) out.result(document, seen, ending(wordsOf, '\n'));
    told = news;
    return false;
  };
  const onAway = (message: string): void => (page.live ? page.redraw(message, (text) => text) : out.say(message));
  try {
    await follow(look, { out, signal: interrupt.signal, everyMs: REFRESH_MS, onSeen, onAway });
  } catch (error) {
    if (!(error instanceof LedgerUnavailableError)) throw error;
  } finally {
    interrupt.dispose();
    page.finish();
  }
}

const ending =
  <T>(wordsOf: (seen: T) => string, end: string) =>
  (seen: T): string =>
    `${wordsOf(seen)}${end}`;

/**
 * Follows orders in the ledger until `enough` says so or the signal fires, and shows where each stands: rewritten in
 * place where a person watches, else a line per change.
 *
 * @returns how they stood last; none when the ledger was away all the time
 */
export async function followOrders(
  ledger: Ledger,
  orderIds: readonly string[],
  out: Output,
  enough: (views: readonly OrderView[]) => boolean,
  signal: AbortSignal,
): Promise<OrderView[]> {
  const said = new Map<string, string>();
  const look = async (): Promise<OrderView[]> => {
    const found = await ledger.orders.views({ orderIds, limit: orderIds.length });
    return orderIds.flatMap((id) => found.find((view) => view.orderId === id) ?? []);
  };
  const onSeen = (views: readonly OrderView[]): boolean => {
    if (out.live) {
      out.redraw(views, (shown) => shown.map(line).join('\n'));
    } else {
      for (const view of views) {
        // Without the countdown: that would be a line per poll.
        const key = `${view.phase} ${view.result.attempts} ${view.result.outcome} ${view.result.lastError?.at}`;
        if (said.get(view.orderId) !== key) out.show(view, line);
        said.set(view.orderId, key);
      }
    }
    return views.length > 0 && enough(views);
  };
  try {
    return await follow(look, { out, signal, onSeen });
  } catch (error) {
    if (error instanceof LedgerUnavailableError) return [];
    throw error;
  } finally {
    // The result says all that these lines said.
    out.clear();
  }
}

const line = (view: OrderView): string => `${view.result.sessionId}  ${standing(view, Date.now())}`;
