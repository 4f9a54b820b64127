import type { Limiter } from '../../adapters/vendor/limiter.js';
import type { EventToRecord, Ledger } from '../../adapters/ledger/ledger.js';
import { SessionsError, type SessionsClient, type Trigger } from '../../adapters/vendor/index.js';
import { keep } from '../../platform/keep.js';
import type { Logger } from '../../platform/telemetry.js';
import { FORGOTTEN_AFTER_MS, readEndedRuns, stillInRow, type EndedRuns } from '../../adapters/ledger/ended-runs.js';
import { listTriggers } from '../../adapters/vendor/list-triggers.js';

/** How often it is looked whether a trigger is due, ms. Asks the ledger alone. */
const EVERY_MS = 15_000;
/** The vendor gets so long to count a run that was ended, ms. So an agent is asked about once in this time at most. */
export const LOOK_AFTER_MS = 60_000;
/** A look takes no longer; then another worker may do it, ms. */
const CLAIM_MS = 120_000;
/** A vendor that does not answer for so long is not asked again before the next end, ms. */
const GIVE_UP_AFTER_MS = 60 * 60_000;

export interface TriggerWatch {
  readonly ledger: Pick<Ledger, 'meta' | 'now'>;
  readonly sessions: Pick<SessionsClient, 'listTriggers'>;
  readonly limiter: Limiter;
  readonly log: Logger;
}

/**
 * Tells when a trigger is off after runs of it were ended: the vendor switches it off after some failures in a row, and may
 * take a cancelled run for one. Only agents of which such runs were ended are asked about, once after the end. Runs until the
 * signal, in every worker; each look is one worker's.
 */
export const watchTriggers = (watch: TriggerWatch, signal: AbortSignal): Promise<void> =>
  keep('look whether triggers are still on', EVERY_MS, () => lookAtTriggers(watch), { log: watch.log, signal });

/** One round over what is due. */
export async function lookAtTriggers(watch: TriggerWatch): Promise<void> {
  const { ledger, log } = watch;
  const nowMs = await ledger.now();
  const byAgent = new Map<string, Claimed[]>();
  for (const { key, text, runs } of await readEndedRuns(ledger)) {
    const lastMs = runs.sessions.at(-1)?.atMs ?? 0;
    if (runs.lookFromMs === null) {
      if (lastMs < nowMs - FORGOTTEN_AFTER_MS) await ledger.meta.drop(key);
      continue;
    }
    if (nowMs - runs.lookFromMs < LOOK_AFTER_MS || runs.claimedUntilMs > nowMs) continue;
    const claimed = { key, runs: { ...runs, claimedUntilMs: nowMs + CLAIM_MS } };
    // False: another worker took it, or another run of it has just ended.
    if (!(await ledger.meta.swap(key, text, JSON.stringify(claimed.runs), []))) continue;
    byAgent.set(runs.agentId, [...(byAgent.get(runs.agentId) ?? []), claimed]);
  }
  for (const [agentId, claims] of byAgent) {
    try {
      const triggers = await listTriggers(watch, agentId);
      for (const claim of claims) await conclude(watch, claim, triggers, nowMs);
    } catch (error) {
      if (!(error instanceof SessionsError)) throw error;
      log.debug({ agentId, error: error.kind }, 'could not look at the triggers of an agent');
      for (const claim of claims) await putOff(watch, claim, nowMs);
    }
  }
}

interface Claimed {
  readonly key: string;
  readonly runs: EndedRuns;
}

/** @param triggers - null: not known, and never will be */
async function conclude(
  { ledger, log }: TriggerWatch,
  { key, runs }: Claimed,
  triggers: readonly Trigger[] | null,
  nowMs: number,
): Promise<void> {
  const trigger = triggers?.find(({ id }) => id === runs.triggerId);
  const enabled = trigger?.enabled ?? null;
  const event = trigger !== undefined && enabled === false && !runs.toldOff ? switchedOff(runs, trigger, nowMs) : null;
  const toldOff = enabled === null ? runs.toldOff : !enabled;
  const written = await change(ledger, key, runs, { lookFromMs: null, claimedUntilMs: 0, toldOff }, event);
  if (written && event !== null) log.error({ ...event.data }, event.kind);
}

async function putOff({ ledger }: TriggerWatch, { key, runs }: Claimed, nowMs: number): Promise<void> {
  const givenUp = runs.lookFromMs !== null && nowMs - runs.lookFromMs > GIVE_UP_AFTER_MS;
  await change(ledger, key, runs, { claimedUntilMs: 0, ...(givenUp ? { lookFromMs: null } : {}) }, null);
}

/** @returns false: another run has ended meanwhile. The claim runs out, and the next look tells */
const change = (
  ledger: TriggerWatch['ledger'],
  key: string,
  runs: EndedRuns,
  to: Partial<EndedRuns>,
  event: EventToRecord | null,
): Promise<boolean> =>
  ledger.meta.swap(key, JSON.stringify(runs), JSON.stringify({ ...runs, ...to }), event === null ? [] : [event]);

function switchedOff(runs: EndedRuns, { type, maxFailures }: Trigger, nowMs: number): EventToRecord {
  const { agentId, triggerId } = runs;
  const ended = stillInRow(runs, nowMs).map(({ id }) => id);
  const sessionId = ended.at(-1);
  return {
    kind: 'trigger-switched-off',
    ...(sessionId === undefined ? {} : { sessionId }),
    data: { agentId, triggerId, triggerType: type, maxFailures, ended: ended.length, sessions: ended.slice(-3) },
  };
}
