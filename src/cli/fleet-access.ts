import type { FleetAccess } from '../engines/bulk/judge-page.js';
import type { Config } from '../platform/config.js';
import { createVendorClock } from '../adapters/vendor/vendor-clock.js';
import { systemClock } from '../platform/clock.js';
import { createLimiter } from '../adapters/vendor/limiter.js';
import { createCredentials, createSessionsClient, type OpenSessionsClient } from '../adapters/vendor/index.js';
import { USER_AGENT } from '../platform/version.js';
import { heldWords } from './obstacle-words.js';
import type { Output } from './output.js';

/** A wait that is over sooner is not worth a word, ms. */
const WORTH_TELLING_MS = 2_000;

/** The fleet as a command sees it, for some work. Says on stderr what it waits for when the vendor holds its requests back. */
export async function withFleet<T>(
  config: Config,
  out: Output,
  work: (fleet: FleetAccess & { readonly sessions: OpenSessionsClient }) => Promise<T>,
): Promise<T> {
  const credentials = createCredentials(config.env);
  // A key that is missing or wrong is told before anything is made.
  await credentials.headers();
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
  try {
    return await work({ sessions, limiter, vendorClock: createVendorClock(systemClock) });
  } finally {
    sessions.close();
  }
}
