import { SessionsError, type SessionsClient } from '../../adapters/vendor/index.js';
import type { CaseDependencies } from './case.js';
import { endedLately, noteQueue, noteRestart } from './restarts.js';
import { tryAgain } from './waits.js';

/** What the watch for a restart does next. */
export type WatchStep =
  | { readonly next: 'done' }
  /** It has started again, and a policy has ordered the end of that turn too. */
  | { readonly next: 'attempt' }
  | { readonly next: 'look'; readonly afterMs: number; readonly queued: boolean };

/**
 * One look at a session whose turn was ended lately: has it started again? A restart is reported on each order that
 * ended a turn; what to do about it is a policy's choice.
 *
 * @param lookNumber - from 0
 * @param queued - whether messages waited at the first look
 */
export async function watchForRestart(
  deps: CaseDependencies & { readonly sessions: SessionsClient },
  sessionId: string,
  lookNumber: number,
  queued: boolean,
  failures: number,
): Promise<WatchStep> {
  const ended = await endedLately(deps, sessionId);
  if (ended.length === 0) return { next: 'done' };
  try {
    const read = await deps.gate.read(sessionId, 'confirm');
    const orders = await noteRestart(deps, ended, read, queued);
    if (orders !== null) return { next: orders.length > 0 ? 'attempt' : 'done' };

    const stillQueued = queued || (lookNumber === 0 && (await noteQueue(deps, sessionId, ended)));
    // Scans that go on see it start again, and cost nothing more.
    if (await isScanned(deps, sessionId, read.sighting.atMs)) return { next: 'done' };
    const { restartGapsMs, restartGapsWithQueueMs } = deps.timing;
    const gaps = stillQueued ? [...restartGapsMs, ...restartGapsWithQueueMs] : restartGapsMs;
    const afterMs = gaps[lookNumber];
    return afterMs === undefined ? { next: 'done' } : { next: 'look', afterMs, queued: stillQueued };
  } catch (error) {
    if (error instanceof SessionsError) throw await tryAgain(deps, error, failures);
    throw error;
  }
}

/** Scanned within so many scans, a session is seen by the next one as well. */
const RECENT_SCANS = 3;

async function isScanned(
  { ledger }: Pick<CaseDependencies, 'ledger'>,
  sessionId: string,
  nowMs: number,
): Promise<boolean> {
  const scan = (await ledger.facts.of(sessionId))?.scan ?? null;
  return scan?.atMs != null && scan.problem === null && nowMs - scan.atMs < RECENT_SCANS * scan.scanMs;
}
