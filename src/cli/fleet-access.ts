import type { FleetAccess } from '../engines/bulk/judge-page.js';
import type { Config } from '../platform/config.js';
import { createVendorClock } from '../adapters/vendor/vendor-clock.js';
import { systemClock } from '../platform/clock.js';
import { createLimiter } from '../adapters/vendor/limiter.js';
import { createSessionsClient, type createCredentials, type OpenSessionsClient } from '../adapters/vendor/index.js';
import { USER_AGENT } from '../platform/version.js';
import { heldWords } from './obstacle-words.js';
import type { Output } from './output.js';

/** A wait that is over sooner is not worth a word, ms. */
const WORTH_TELLING_MS = 2_000;

/** The fleet as a command sees it, which says on stderr what it waits for when the vendor holds its requests back. */
export function openFleet(
  config: Config,
  credentials: ReturnType<typeof createCredentials>,
  out: Output,
): FleetAccess & { readonly sessions: OpenSessionsClient; close(): void } {
  const limiter = createLimiter(config.requestsPerSecond, systemClock);
  let toldUntilMs = -Infinity;
  limiter.onHold((hold) => {
    // Several answers of one moment prolong a hold by next to nothing.
    if (hold === null || hold.untilMs - Math.max(Date.now(), toldUntilMs) < WORTH_TELLING_MS) return;
    toldUntilMs = hold.untilMs;
    out.clear();
    out.say(`Waiting; Ctrl-C gives up. ${heldWords(hold, Date.now())}`);
  });
  const sessions = createSessionsClient({
    ...{ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT },
    onRequest: limiter.heard,
  });
  return { sessions, limiter, vendorClock: createVendorClock(systemClock), close: () => sessions.close() };
}
