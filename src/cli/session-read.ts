import type { AgentScan } from '../adapters/ledger/facts.js';
import {
  createSessionsClient,
  SessionsError,
  type Credentials,
  type SessionsClient,
} from '../adapters/vendor/index.js';
import { agentOfScan, readSight } from '../adapters/vendor/sights.js';
import type { VendorClock } from '../adapters/vendor/vendor-clock.js';
import type { Observation } from '../core/policy/observation.js';
import type { Config } from '../platform/config.js';
import { USER_AGENT } from '../platform/version.js';

/** A person waits, and the ledger knows something too, ms. */
const READ_PATIENCE_MS = 10_000;

export interface ReadProblem {
  readonly problem: string;
  /** The vendor answered. */
  readonly reachable: boolean;
}

export type SessionRead = { readonly seen: Observation } | ReadProblem;

/** One read of a session. */
export async function readSession(
  config: Config,
  credentials: Credentials,
  sessionId: string,
  agentId: string | null,
  scan: AgentScan | null,
  vendorClock: VendorClock,
): Promise<SessionRead> {
  const client = createSessionsClient({
    baseUrl: config.apiBaseUrl,
    credentials,
    userAgent: USER_AGENT,
    timeouts: { connectMs: READ_PATIENCE_MS, readMs: READ_PATIENCE_MS },
  });
  try {
    const answer = await (client as SessionsClient).retrieveSession(sessionId);
    vendorClock.note(answer);
    const seen = readSight(vendorClock, answer, agentId, scan === null ? null : agentOfScan(scan));
    return seen === null ? { problem: 'the answer carries no usable Date header', reachable: true } : { seen };
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    return { problem: error.message, reachable: error.kind === 'not-found' };
  } finally {
    client.close();
  }
}
