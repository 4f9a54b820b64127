import type { Client } from '@temporalio/client';
import pMap from 'p-map';
import { readBulkStatus } from '../bulk/status.js';
import type { BulkState, BulkStatus } from '../../core/contract.js';
import type { Ledger } from '../../adapters/ledger/ledger.js';
import type { CleanupEntry } from '../../core/policy/policy.js';
import { findSchedule } from './found-schedule.js';
import { readLastRun, type CleanupRun } from './last-run.js';
import { readRefusals, type Refusal } from './refusals.js';
import { scheduleOf } from './schedule.js';
import { plannedNote } from './words.js';

/** Where a cleanup stands: in the ledger, and in Temporal. */
export interface CleanupStanding {
  readonly entry: CleanupEntry;
  /** Null: Temporal can't be asked. */
  readonly schedule: ScheduleStanding | null;
  /** That Temporal refuses its Schedule, as the workers found; null: they did not. */
  readonly refusal: Refusal | null;
  readonly lastRun: (Omit<CleanupRun, 'runId'> & { readonly job: BulkStatus | null }) | null;
}

/** - `missing`: there is none, and a worker makes one. - `foreign`: one that Curfew did not make has its name */
export type ScheduleStanding =
  | { readonly kind: 'missing' }
  | { readonly kind: 'foreign' }
  | {
      readonly kind: 'scheduled';
      readonly paused: boolean;
      /** What the person who paused it wrote; null: nothing. */
      readonly note: string | null;
      readonly nextRuns: readonly Date[];
      readonly running: boolean;
    };

const AT_ONCE = 4;
/** A person waits, ms. */
const DESCRIBE_LIMIT_MS = 5_000;

/** @param client - null: Temporal can't be reached */
export async function readCleanups(
  ledger: Pick<Ledger, 'meta' | 'bulk'>,
  client: Client | null,
  entries: readonly CleanupEntry[],
): Promise<CleanupStanding[]> {
  const refusals = await readRefusals(ledger);
  return pMap(
    entries,
    async (entry) => {
      const refusal = refusals.get(entry.name);
      return {
        entry,
        schedule: client === null ? null : await scheduleStanding(client, entry),
        // What was refused may be an earlier form of the entry.
        refusal: refusal?.fingerprint === scheduleOf(entry).action.memo.fingerprint ? refusal : null,
        lastRun: await lastRunOf(ledger, entry.name),
      };
    },
    { concurrency: AT_ONCE },
  );
}

async function scheduleStanding(client: Client, entry: CleanupEntry): Promise<ScheduleStanding> {
  const { scheduleId } = scheduleOf(entry);
  const found = await client.withDeadline(Date.now() + DESCRIBE_LIMIT_MS, () =>
    findSchedule(client.schedule, scheduleId),
  );
  if (found.kind !== 'ours') return found;
  const { paused, note, nextRuns, running } = found;
  return { kind: 'scheduled', paused, note, nextRuns: paused ? [] : nextRuns, running };
}

/** A run of a Schedule is noted, whatever came of it; one by hand shows in its job alone. */
async function lastRunOf(ledger: Pick<Ledger, 'meta' | 'bulk'>, name: string): Promise<CleanupStanding['lastRun']> {
  const noted = await readLastRun(ledger, name);
  const [job] = await ledger.bulk.list({ cleanup: name, states: APPLIED, limit: 1 });
  if (job?.appliedAtMs == null) return noted === null ? null : { ...noted, job: null };
  const status = await readBulkStatus(ledger, job);
  if (noted !== null && noted.planId !== job.planId && Date.parse(noted.at) >= job.appliedAtMs) {
    return { ...noted, job: null };
  }
  return { at: new Date(job.appliedAtMs).toISOString(), planId: job.planId, note: plannedNote(job), job: status };
}

const APPLIED: readonly BulkState[] = ['running', 'paused', 'finished', 'aborted'];
