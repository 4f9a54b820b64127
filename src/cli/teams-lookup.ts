import { loadConfig } from '../platform/config.js';
import { UserError } from '../core/errors.js';
import { listVisibleAgents } from '../adapters/vendor/agents.js';
import { teamsCoverage, type TeamsCoverage } from '../adapters/ledger/coverage.js';
import { systemClock } from '../platform/clock.js';
import { createLimiter } from '../adapters/vendor/limiter.js';
import { createCredentials, createSessionsClient } from '../adapters/vendor/index.js';
import { USER_AGENT } from '../platform/version.js';

/** A person waits for something that the command can do without, ms. */
const PATIENCE_MS = 5_000;

/** What the key shows of the teams that a file names. */
export type TeamsCheck = { readonly kind: 'seen'; readonly teams: TeamsCoverage } | NotSeen;
interface NotSeen {
  readonly kind: 'not-seen';
  /** Why the vendor could not be asked; for people. */
  readonly why: string;
}

/**
 * Asks the vendor for these teams. Never fails: a file can be checked anywhere.
 *
 * @returns null when there is no usable key here
 */
export async function lookTeamsUp(named: readonly string[]): Promise<TeamsCheck | null> {
  try {
    const config = loadConfig(process.env, process.cwd());
    const credentials = createCredentials(config.env);
    const hasKey = await credentials.headers().then(
      () => true,
      () => false,
    );
    if (!hasKey) return null;
    const timeouts = { connectMs: PATIENCE_MS, readMs: PATIENCE_MS };
    const sessions = createSessionsClient({
      ...{ baseUrl: config.apiBaseUrl, credentials, userAgent: USER_AGENT, timeouts },
    });
    try {
      const concerns = (id: string): boolean => named.includes(id);
      const limiter = createLimiter(config.requestsPerSecond, systemClock);
      const look = { own: false, shownTeams: true, named, concerns };
      const { teams, failure } = await listVisibleAgents({ sessions, limiter }, look);
      return failure === null
        ? { kind: 'seen', teams: teamsCoverage(teams) }
        : { kind: 'not-seen', why: failure.message };
    } finally {
      sessions.close();
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { kind: 'not-seen', why: error.message };
  }
}
