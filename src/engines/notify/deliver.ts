import { doubled } from '../../core/policy/backoff.js';
import { NEWS_FOR_MS } from '../../core/told.js';
import { isLedgerUnavailable } from '../../adapters/ledger/errors.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { Item } from '../../adapters/ledger/deliveries.js';
import { NO_METERS, type Meters } from '../../adapters/meters.js';
import type { Logger } from '../../platform/telemetry.js';
import { fits, lookAhead, nextBatch } from './batch.js';
import { noticeOf } from './notice.js';
import { createRoutesReader, type RouteInForce } from './routes.js';
import { sendNotices, type Sent } from './send.js';

/** First wait after a failure that may pass by itself, doubled each time; and the longest, ms. */
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 5 * 60_000;
/** Wait after a failure that only a person can mend, and after a file that can't be read, ms. */
const MENDING_WAIT_MS = 10 * 60_000;
const FILE_WAIT_MS = 60_000;

/** A message was not taken. It is kept, and sent again after a wait. Names the route, and holds no secret. */
export class NotDelivered extends Error {
  override readonly name = 'NotDelivered';

  constructor(
    message: string,
    readonly afterMs: number,
  ) {
    super(message);
  }
}

/** Tells what happened by the routes in force. */
export interface Notifier {
  /**
   * Sends one message by a route, and notes that it was taken.
   *
   * @param failures - failed tries of this message so far
   * @returns whether there is more to tell
   * @throws {NotDelivered} when the message was not taken
   * @throws {LedgerUnavailableError} also after it was taken: then it is sent again, with the same id
   */
  deliverNext(route: string, failures: number): Promise<{ more: boolean }>;
}

export function createNotifier(
  ledger: Ledger,
  log: Logger,
  meters: Pick<Meters, 'notification'> = NO_METERS,
): Notifier {
  const routes = createRoutesReader(ledger);
  // What was last said of a route in the log: a sink that is away for hours is one line.
  const troubles = new Map<string, string>();

  return {
    async deliverNext(name, failures) {
      const route = (await routes.read()).find((inForce) => inForce.name === name);
      // The file in force has changed; whoever was told by this route is told no more.
      if (route === undefined) return { more: false };
      const { items, more } = await messageFor(ledger, route, log);
      if (items.length === 0) return { more: false };

      const sent = await sendNotices(name, route.route, items.map(noticeOf));
      meters.notification(name, sent.kind === 'accepted' ? 'delivered' : 'failed');
      if (sent.kind !== 'accepted') {
        const { why, afterMs, mend } = judge(sent, failures);
        const message = `notification route ${name}: ${why}`;
        if (troubles.get(name) !== message) {
          log[mend ? 'error' : 'warn']({ route: name, items: items.length, afterMs }, message);
          troubles.set(name, message);
        }
        await noteTrouble(ledger, name, why);
        throw new NotDelivered(message, afterMs);
      }
      await ledger.deliveries.mark(
        name,
        items.map(({ key }) => key),
      );
      if (troubles.delete(name)) log.info({ route: name }, 'the notification route works again');
      log.debug({ route: name, items: items.length }, 'notified');
      return { more };
    },
  };
}

/** For `curfew status`. That the message was not taken counts, also when this can't be written. */
async function noteTrouble(ledger: Ledger, route: string, message: string): Promise<void> {
  try {
    await ledger.deliveries.noteTrouble(route, message);
  } catch (error) {
    if (!isLedgerUnavailable(error)) throw error;
  }
}

/** The message that was begun and not noted as taken, or else the next one. */
async function messageFor(
  ledger: Ledger,
  { name, route, audience }: RouteInForce,
  log: Logger,
): Promise<{ readonly items: readonly Item[]; readonly more: boolean }> {
  const begun = await ledger.deliveries.begun(name);
  if (begun !== null) {
    if ((await ledger.now()) - begun.beganAtMs < NEWS_FOR_MS && fits(route, begun.keys.length)) {
      const items = await ledger.deliveries.itemsOf(begun.keys);
      // Whether there is more, the next look says.
      if (items.length === begun.keys.length) return { items, more: true };
    } else {
      log.error({ route: name, items: begun.keys.length }, 'gave up a notification; the ledger has what it said');
    }
    await ledger.deliveries.drop(name);
  }
  const pending = await ledger.deliveries.items(audience, NEWS_FOR_MS, lookAhead(route));
  const items = nextBatch(route, pending);
  if (items.length > 0) {
    await ledger.deliveries.begin(
      name,
      items.map(({ key }) => key),
    );
  }
  return { items, more: pending.length > items.length };
}

/** What a failure means: what to say, how long to wait, and whether only a person can mend it. */
function judge(
  sent: Exclude<Sent, { readonly kind: 'accepted' }>,
  failures: number,
): { readonly why: string; readonly afterMs: number; readonly mend: boolean } {
  const growing = doubled(FIRST_WAIT_MS, failures, LONGEST_WAIT_MS);
  switch (sent.kind) {
    case 'unanswered':
      return { why: `no answer (${sent.why})`, afterMs: growing, mend: false };
    case 'unusable':
      return { why: sent.why, afterMs: FILE_WAIT_MS, mend: true };
    case 'refused': {
      const passing = mayPass(sent.status);
      const wait = passing ? Math.max(sent.retryAfterMs ?? 0, growing) : MENDING_WAIT_MS;
      return {
        why: `the receiver answered ${sent.status}`,
        // Asked to wait by Retry-After, exactly that: the receiver knows best.
        afterMs: sent.status === 429 && sent.retryAfterMs !== null ? Math.max(sent.retryAfterMs, 1_000) : wait,
        mend: !passing,
      };
    }
  }
}

/** 408, 425, 429 and 5xx pass by themselves; other answers come from a wrong address or secret, or a closed channel. */
const mayPass = (status: number): boolean => status >= 500 || [408, 425, 429].includes(status);
