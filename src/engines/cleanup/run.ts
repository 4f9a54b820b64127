import { createHash } from 'node:crypto';
import type { CaseDependencies } from '../cases/case.js';
import { TryAgain } from '../../core/try-again.js';
import { tryAgain } from '../cases/waits.js';
import type { FleetAccess } from '../bulk/live-targets.js';
import { DEFAULT_CANARY, DEFAULT_RATE } from '../../adapters/ledger/bulk-plans.js';
import type { EventToRecord } from '../../adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../core/policy/policy.js';
import { SessionsError } from '../../adapters/vendor/index.js';
import { noteRun } from './last-run.js';
import { cappedOf, toEnd } from '../../core/bulk/totals.js';
import { planCleanup, type CleanupPlan } from './plan-cleanup.js';
import { CATCH_UP_MS } from './schedule.js';
import { cappedEvent, plannedNote } from './words.js';

export interface CleanupDependencies extends CaseDependencies, FleetAccess {}

export interface CleanupStart {
  /** Name of the entry. */
  readonly name: string;
  /** Of the workflow's run: the same for each try. */
  readonly runId: string;
  /** When the run began, ms since the Unix epoch: its time, though a worker may have come hours later. */
  readonly startedAtMs: number;
}

/** How far this run has come by the tries before. */
export interface Tries {
  /** Tries that failed. */
  readonly failures: number;
  /** Since the run was to begin, ms. */
  readonly sinceMs: () => number;
  readonly signal: AbortSignal;
}

export interface StartedCleanup {
  /** The bulk job to carry out; null: there is nothing to do. */
  readonly planId: string | null;
  /** For people. */
  readonly note: string;
}

/**
 * Makes and applies the plan of one run of a cleanup. Safe to run again: the plan's id comes from the run, so what an earlier
 * try began is made anew, and what it applied is the job.
 *
 * @throws TryAgain when the fleet can't be looked at now; an hour after its time the run is given up instead, and that is told
 */
export async function startCleanup(
  deps: CleanupDependencies,
  { name, runId }: CleanupStart,
  { failures, sinceMs, signal }: Tries,
): Promise<StartedCleanup> {
  const { ledger, log } = deps;
  const finish = async (
    planId: string | null,
    note: string,
    events: readonly EventToRecord[] = [],
  ): Promise<StartedCleanup> => {
    await noteRun(ledger, name, { runId, planId, note }, events);
    log.info({ cleanup: name, planId }, note);
    return { planId, note };
  };

  const planId = planIdOf(runId);
  const before = await ledger.bulk.get(planId);
  if (before !== null && before.appliedAtMs !== null) {
    return finish(planId, plannedNote(before), cappedOf(before) > 0 ? [cappedEvent(before, null)] : []);
  }
  await ledger.bulk.discard(planId);

  const entry = await entryInForce(deps, name);
  if (entry === null) return finish(null, 'It is not in the policy file in force any more, so nothing was ended.');
  if (sinceMs() > CATCH_UP_MS) {
    const text = 'no worker ran within an hour of its time';
    if (failures > 0) return finish(null, GIVEN_UP, [failedEvent(name, `it could not begin within an hour`)]);
    return finish(null, `Skipped: ${text}.`, [
      { kind: 'cleanup-skipped', data: { cleanup: name, why: 'no-worker', runs: 1, text } },
    ]);
  }

  try {
    const plan = await planCleanup({ ledger, fleet: deps }, entry, { planId, by: `cleanup ${name}`, signal });
    return await apply(plan);
  } catch (error) {
    if (!(error instanceof SessionsError)) throw error;
    const again = await tryAgain(deps, error, failures);
    if (sinceMs() + again.afterMs <= CATCH_UP_MS) throw again;
    log.error(
      { cleanup: name, error: error.kind },
      'a cleanup could not look at the fleet for an hour, and was given up',
    );
    return finish(null, GIVEN_UP, [failedEvent(name, again.message)]);
  }

  async function apply(plan: CleanupPlan): Promise<StartedCleanup> {
    const { job, capped } = plan;
    const events = capped > 0 ? [cappedEvent(job, plan)] : [];
    if (capped > 0) log.warn(events[0]?.data ?? {}, 'a cleanup found more than its caps let it end');
    if (toEnd(job) === 0) {
      await ledger.bulk.discard(planId);
      return finish(null, plannedNote(job), events);
    }
    const applied = await ledger.bulk.apply(planId, {
      by: `cleanup ${name}`,
      rate: DEFAULT_RATE,
      canary: DEFAULT_CANARY,
      fast: false,
      evenIfExempt: false,
    });
    if (applied.kind !== 'started' && applied.kind !== 'same-job') {
      throw new Error(`The plan ${planId} of the cleanup ${name} could not be applied: ${applied.kind}.`);
    }
    return finish(planId, plannedNote(job), events);
  }
}

const GIVEN_UP = 'Given up: the fleet could not be read for an hour. Nothing was ended.';

const failedEvent = (name: string, text: string): EventToRecord => ({
  kind: 'cleanup-failed',
  data: { cleanup: name, text },
});

/** @throws TryAgain when a newer Curfew's file is in force: its workers know what it means */
async function entryInForce({ ledger, timing }: CleanupDependencies, name: string): Promise<CleanupEntry | null> {
  const policies = await ledger.policies.inForce();
  if (policies.kind === 'too-new') {
    throw new TryAgain(
      'RuleUnknown',
      `Version ${policies.version} of the policies is of a newer Curfew; this one does not guess what it means.`,
      timing.heldRetryMs,
    );
  }
  if (policies.kind === 'none') return null;
  return policies.inForce.file.cleanup.find((entry) => entry.name === name) ?? null;
}

/** The same run gives the same id. */
const planIdOf = (runId: string): string => `b-${createHash('sha256').update(runId).digest('hex').slice(0, 10)}`;
